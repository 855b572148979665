#!/bin/bash
# Stop kubelet, take all that is Kubernetes' from the runtime that goes, and stop that. Nothing of it
# starts by itself again, whenever the power is cut.
# seed: none has it; the script of a change brings it
# reads: RUNTIME RUNTIME_BEFORE
# uses: ROLE IMAGES SUMS PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role images
load_environment
AIRSEED_RUNTIME=$AIRSEED_RUNTIME_BEFORE

# What kubelet's network plugin gave to pods that are gone, and nobody takes back: kubelet would have.
free_addresses() {
    [ ! -d "$R/var/lib/cni/networks" ] || find "$R/var/lib/cni/networks" -type f -name '[0-9a-f]*[.:]*' -delete
}

# Take the images away that this node's role had, and what held them; the user's own stay.
remove_images() {
    local name digest
    [ -s "$PRELOADED/wanted" ] && [ "$(loaded_into)" = "$AIRSEED_RUNTIME" ] || return 0
    release_images
    while read -r name digest; do remove_image "$name" "$digest"; done <"$PRELOADED/wanted"
}

# Note where docker's data are when nobody else has anything in them.
note_data() {
    local top others
    rm -f "$WORK/unused"
    top=$(docker info --format '{{.DockerRootDir}}') && others=$(docker ps -a -q && docker images -a -q && docker volume ls -q) || return 0
    [ -n "$others" ] || printf '%s\n' "$top" | put "$WORK/unused" 0644
}

main() {
    local wanted
    # a change given up went as far as that, and another one takes its place
    if [ "$AIRSEED_RUNTIME" = docker ] && ! has docker; then
        say "docker is not on this machine any more"
        return
    fi
    wanted=$(read_values && value RUNTIME)
    ! is_control_plane || stamp_durably away
    # what it brings back would be in the way
    systemctl stop airseed-images.timer airseed-images.service || true
    systemctl disable kubelet.service
    systemctl stop kubelet.service
    [ "$AIRSEED_RUNTIME" != docker ] || systemctl disable docker.socket docker.service
    # a power cut may have come after that
    start_runtime start
    stop_pods
    free_addresses
    if [ "$AIRSEED_RUNTIME" != "$wanted" ]; then
        remove_images
        [ "$AIRSEED_RUNTIME" != docker ] || note_data
    fi
    [ "$AIRSEED_RUNTIME" != docker ] || systemctl stop docker.socket docker.service
    # docker's, too; it comes back with what is installed next
    systemctl stop containerd.service
}

main
