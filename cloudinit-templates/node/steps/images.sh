#!/bin/bash
# Load the images that a role starts, unless a registry serves them.
# reads: IMAGES RUNTIME REGISTRY SUMS
# uses: PAYLOAD_URL

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values payload runtime
load_environment

LOADING=$STATE/images-load

# Give the folder of this machine's subset.
subset() {
    local machine
    machine=$(uname -m)
    case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
    printf '%s/linux-%s' "$AIRSEED_IMAGES" "$machine"
}

# Print "NAME DIGEST" of every wanted image: docker's IDs are the digests of configurations,
# containerd's those of the top manifests.
wanted_images() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        sed 's/{"Config":/\n&/g' "$1/manifest.json" |
            sed -n 's/^{"Config":"blobs\/sha256\/\([0-9a-f]*\)".*"RepoTags":\[\([^]]*\)\].*/\1 \2/p' |
            awk '{ n = split($2, name, ","); for (i = 1; i <= n; i++) { gsub(/"/, "", name[i]); if (name[i] != "") print name[i], "sha256:" $1 } }'
    else
        sed 's/{"annotations":/\n&/g' "$1/index.json" |
            sed -n 's/^{"annotations":{"io.containerd.image.name":"\([^"]*\)".*"digest":"\([^"]*\)".*/\1 \2/p'
    fi
}

# Print the same of what is there. docker leaves out its own registry's name.
present_images() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | awk '{
            name = $1
            slash = index(name, "/")
            first = slash ? substr(name, 1, slash - 1) : ""
            if (!slash) name = "docker.io/library/" name
            else if (first !~ /[.:]/ && first != "localhost") name = "docker.io/" name
            print name, $2
        }'
    else
        ctr --namespace k8s.io images check | awk 'NR > 1 && $4 ~ /^complete/ { print $1, $3 }'
    fi
}

# Print the names of the wanted images that are not there.
missing_images() {
    present_images >"$LISTS/present"
    awk 'FILENAME == ARGV[1] { there[$0] = 1; next } !($0 in there) { print $1 }' "$LISTS/present" "$LISTS/loaded"
}

# Write the archive of the subset: its own three files, then the blobs.
archive() {
    cd "$BASE/images"
    tar -cf - -C "$1" manifest.json index.json -C "$BASE/images" oci-layout -T "$1/blobs"
}

load() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        archive "$1" | docker load
    else
        archive "$1" | ctr --namespace k8s.io images import -
    fi
}

# A power cut while images are loaded leaves layers with files that are not on disk. They outlive the
# images that they are for, and would be taken for good: the runtime begins with an empty store.
empty_store() {
    local top part
    say "loading the images was interrupted: starting with an empty store"
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        [ -z "$(docker ps -aq)" ] || refuse_store
        top=$(docker info --format '{{.DockerRootDir}}')
        set -- image overlay2
    else
        [ -z "$(ctr --namespace k8s.io containers ls -q)" ] || refuse_store
        top=/var/lib/containerd
        set -- io.containerd.metadata.v1.bolt io.containerd.content.v1.content io.containerd.snapshotter.v1.overlayfs
    fi
    systemctl stop "$AIRSEED_RUNTIME.service"
    for part; do
        [ ! -e "$R$top/$part" ] || { rm -rf "$R$top/$part.airseed-old" && mv "$R$top/$part" "$R$top/$part.airseed-old"; }
    done
    systemctl start "$AIRSEED_RUNTIME.service"
    for part; do rm -rf "$R$top/$part.airseed-old"; done
    await_runtime
}

refuse_store() {
    fail "loading the images was interrupted, and $AIRSEED_RUNTIME has containers already" \
        "its layers may lack files: remove the containers, or rm $LOADING if you know better"
}

main() {
    local part missing
    if [ -n "$AIRSEED_REGISTRY" ]; then
        say "images are pulled from $AIRSEED_REGISTRY"
        return
    fi
    part=$(subset)
    find_payload
    payload_list "images/$part/" >"$LISTS/images"
    [ -s "$LISTS/images" ] || fail "the bundle has no images for $part" "add this machine's kind to platforms in cluster.yaml"
    printf 'images/oci-layout\n' >>"$LISTS/images"
    take_payload <"$LISTS/images"
    wanted_images "$BASE/images/$part" >"$LISTS/loaded"
    [ ! -e "$LOADING" ] || empty_store
    missing=$(missing_images)
    if [ -n "$missing" ]; then
        sed 's/^/images\//' "$BASE/images/$part/blobs" >"$LISTS/blobs"
        waiting "$(wc -l <"$LISTS/loaded") images to be checked and loaded"
        take_payload <"$LISTS/blobs"
        : >"$LOADING"
        sync
        (load "$part")
        # the runtime does not wait for the disk
        sync
        waited
        missing=$(missing_images)
    fi
    [ -z "$missing" ] || fail "these images did not arrive in $AIRSEED_RUNTIME: ${missing//$'\n'/ }" \
        "see its journal: journalctl -u $AIRSEED_RUNTIME"
    rm -f "$LOADING"
    drop_payload images
}

main
