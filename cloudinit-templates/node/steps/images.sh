#!/bin/bash
# Load the images that a role starts, unless a registry serves them.
# reads: IMAGES RUNTIME REGISTRY SUMS
# uses: PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values images
load_environment

# A power cut while images are loaded leaves layers with files that are not on disk. They outlive the
# images that they are for, and would be taken for good: the runtime begins with an empty store.
empty_store() {
    local top part
    say "loading the images was interrupted: starting with an empty store"
    release_images
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        top=$(docker info --format '{{.DockerRootDir}}')
        set -- image overlay2
    else
        top=/var/lib/containerd
        set -- io.containerd.metadata.v1.bolt io.containerd.content.v1.content io.containerd.snapshotter.v1.overlayfs
    fi
    systemctl stop "$AIRSEED_RUNTIME.service"
    for part; do
        [ ! -e "$R$top/$part" ] || { rm -rf "$R$top/$part.airseed-old" && mv "$R$top/$part" "$R$top/$part.airseed-old"; }
    done
    start_runtime start
    for part; do rm -rf "$R$top/$part.airseed-old"; done
}

check_arrived() {
    local missing
    missing=$(missing_images "$LISTS/loaded")
    [ -z "$missing" ] || fail "these images did not arrive in $AIRSEED_RUNTIME: $(names_of "$missing")" \
        "see its journal: journalctl -u $AIRSEED_RUNTIME"
}

# The same where pods run. Loaded once more, the images lay hold of all layers of the interrupted time, and
# take them along when they go; what was there before that time stays, and is whole.
load_afresh() {
    local name digest
    say "loading the images was interrupted: those that it may have left half are loaded afresh"
    (load "$1")
    check_arrived
    while read -r name digest; do
        grep -qxF "$name $digest" "$LOADING" || remove_image "$name" "$digest"
    done <"$LISTS/loaded"
}

main() {
    local part missing afresh=''
    if [ -n "$AIRSEED_REGISTRY" ]; then
        say "images are pulled from $AIRSEED_REGISTRY"
        return
    fi
    part=$(subset)
    # the timer's service loads and holds images as well
    exec 8>"$STATE/images.lock"
    wait_until "airseed-images.service, which is bringing images back" "${AIRSEED_LOAD_PATIENCE:-3600}" flock -n 8 ||
        fail "airseed-images.service has been bringing images back all the time" "journalctl -t airseed-images says what it does"
    find_payload
    payload_list "images/$part/" >"$LISTS/images"
    [ -s "$LISTS/images" ] || fail "the bundle has no images for $part" "add this machine's kind to platforms in cluster.yaml"
    printf 'images/oci-layout\n' >>"$LISTS/images"
    take_payload <"$LISTS/images"
    wanted_images "$BASE/images/$part" >"$LISTS/loaded"
    # a power cut while they were brought back is one, too
    [ ! -e "$RETURNING" ] || [ -e "$LOADING" ] || mv "$RETURNING" "$LOADING"
    if [ -e "$LOADING" ]; then
        if [ -n "$(foreign_containers)" ]; then afresh=1; else empty_store; fi
    fi
    missing=$(missing_images "$LISTS/loaded")
    if [ -n "$missing$afresh" ]; then
        sed 's/^/images\//' "$BASE/images/$part/blobs" >"$LISTS/blobs"
        take_payload <"$LISTS/blobs"
        waiting "$(wc -l <"$LISTS/loaded") images to be loaded"
        if [ -n "$afresh" ]; then load_afresh "$BASE/images/$part"; else present_images | put "$LOADING" 0644; fi
        sync
        (load "$BASE/images/$part")
        waited
        check_arrived
    fi
    rm -f "$LOADING" "$RETURNING"
    keep_images "$BASE/images/$part"
    drop_payload images
}

main
