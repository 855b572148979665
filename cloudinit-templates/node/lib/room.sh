#!/bin/bash
# Is there room on the disk. Sourced.

# Free space where images, pods and etcd live, and what kubelet wants of it when all is there. The
# images are not counted again when they are there already.
check_room() {
    local free size limit kept=0 wanted=${AIRSEED_NEED_MIB:-4096}
    ! ls "$STAMPS"/step-images >/dev/null 2>&1 || wanted=0
    read -r size free < <(df -P -B 1048576 "$R/var/lib" | awk 'NR == 2 { print $2, $4 }')
    for limit in $AIRSEED_KEEP_FREE; do
        case $limit in *%) limit=$((size * ${limit%\%} / 100)) ;; esac
        [ "$limit" -le "$kept" ] || kept=$limit
    done
    [ "$free" -ge $((wanted + kept)) ] ||
        fail "/var/lib has $free MiB free, this node needs $wanted MiB for packages and images and $kept MiB below which kubelet evicts pods" \
            "make the disk larger" "$HOPELESS"
}
