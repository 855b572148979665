#!/bin/bash
# Is there room on the disk. Sourced.

# Tell whether FOLDER has MIB free, and what kubelet keeps free where its own data or images are on the same disk:
# below that it would evict pods. Sets FREE and KEPT.
has_room() {
    local size limit disk
    KEPT=0
    disk=$(stat -c %d "$1")
    read -r size FREE < <(df -P -B 1048576 "$1" | awk 'NR == 2 { print $2, $4 }')
    if [ "$disk" = "$(stat -c %d "$R/var/lib")" ] || [ "$disk" = "$(stat -c %d "$(there "$(store_of "$AIRSEED_RUNTIME")")")" ]; then
        for limit in $AIRSEED_KEEP_FREE; do
            case $limit in *%) limit=$((size * ${limit%\%} / 100)) ;; esac
            [ "$limit" -le "$KEPT" ] || KEPT=$limit
        done
    fi
    [ "$FREE" -ge $(($2 + KEPT)) ]
}

# Print FOLDER, or of those that it is to be in the first that is there.
there() {
    local folder=$R$1
    until [ -d "$folder/" ]; do folder=${folder%/*}; done
    printf '%s/' "$folder"
}

need_room() {
    has_room "$(there "$1")" "$2" ||
        fail "$1 has $FREE MiB free, this node needs $2 MiB for packages and images and $KEPT MiB below which kubelet evicts pods" \
            "make the disk larger" "$HOPELESS"
}

# Free space where images, pods and etcd live. The images are not counted again when they are there already.
check_room() {
    local wanted=${AIRSEED_NEED_MIB:-4096} store
    ! ls "$STAMPS"/step-images >/dev/null 2>&1 || wanted=0
    store=$(store_of "$AIRSEED_RUNTIME")
    if [ "$(stat -c %d "$(there "$store")")" != "$(stat -c %d "$R/var/lib")" ]; then
        need_room "$store" "$wanted"
        # what is copied stands there, what is unpacked here
        wanted=$((wanted / 4))
    fi
    need_room /var/lib "$wanted"
}
