#!/bin/bash
# Is there room on the disk. Sourced.

# Tell whether FOLDER has MIB free, and what kubelet keeps free where its own data are on the same disk: below
# that it would evict pods. Sets FREE and KEPT.
has_room() {
    local size limit
    KEPT=0
    read -r size FREE < <(df -P -B 1048576 "$1" | awk 'NR == 2 { print $2, $4 }')
    if [ "$(stat -c %d "$1")" = "$(stat -c %d "$R/var/lib")" ]; then
        for limit in $AIRSEED_KEEP_FREE; do
            case $limit in *%) limit=$((size * ${limit%\%} / 100)) ;; esac
            [ "$limit" -le "$KEPT" ] || KEPT=$limit
        done
    fi
    [ "$FREE" -ge $(($2 + KEPT)) ]
}

# Free space where images, pods and etcd live. The images are not counted again when they are there already.
check_room() {
    local wanted=${AIRSEED_NEED_MIB:-4096}
    ! ls "$STAMPS"/step-images >/dev/null 2>&1 || wanted=0
    has_room "$R/var/lib" "$wanted" ||
        fail "/var/lib has $FREE MiB free, this node needs $wanted MiB for packages and images and $KEPT MiB below which kubelet evicts pods" \
            "make the disk larger" "$HOPELESS"
}
