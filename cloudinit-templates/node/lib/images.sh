#!/bin/bash
# The images that this node's role starts: which they are, which are missing, and keeping them. Sourced.
#
# kubelet takes every image that no pod uses when the disk is short, and none of these can be pulled
# again. So each is held, and what is gone all the same comes back (actions/images).
# shellcheck disable=SC2034,SC2153 # LOADING and RETURNING are for those who load; AIRSEED_IMAGES is the role's name in the bundle

need payload runtime

# what tells them apart, for as long as this node lives
PRELOADED=$STATE/images
LOADING=$STATE/images-load
# while some are brought back: which were there, and are whole
RETURNING=$STATE/images-return
readonly HELD_BY=airseed.holds

# Give the folder of this machine's subset.
subset() {
    local machine
    machine=$(uname -m)
    case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
    printf '%s/linux-%s' "$AIRSEED_IMAGES" "$machine"
}

# Print "NAME DIGEST" of every image in the lists of FOLDER: docker's IDs are the digests of
# configurations, containerd's those of the top manifests.
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

# Print those of the images in LIST, as "NAME DIGEST", that are not there.
missing_images() {
    local present
    present=$(present_images) || return 1
    printf '%s\n' "$present" | awk 'present { there[$0] = 1; next } !($0 in there)' present=1 - present='' "$1"
}

# Give the names alone of images that are printed so.
names_of() { printf '%s\n' "$1" | awk '{ printf "%s%s", (NR > 1 ? " " : ""), $1 }'; }

# Write the archive of the lists in FOLDER: its own three files, then the blobs that it names.
archive() {
    cd "$BASE/images" || return
    tar -cf - -C "$1" manifest.json index.json -C "$BASE/images" oci-layout -T "$1/blobs"
}

# Give the archive of FOLDER to the runtime. It does not wait for the disk, so we do.
load() {
    local limit=${AIRSEED_LOAD_PATIENCE:-3600}
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        archive "$1" | timeout --foreground "$limit" docker load
    else
        archive "$1" | timeout --foreground "$limit" ctr --namespace k8s.io images import -
    fi
    sync
}

# Print which runtime has them: during a change that is not the one of node.env. Earlier machines have no
# note of it.
loaded_into() { cat "$PRELOADED/runtime" 2>/dev/null || printf '%s\n' "$AIRSEED_RUNTIME"; }

# Remember what has to be there, and hold it: in FOLDER are the lists.
keep_images() {
    local name
    mkdir -p "$PRELOADED"
    # pods have them until a change is through
    { cat "$PRELOADED/wanted" "$PRELOADED/before" 2>/dev/null || true; } | sort -u | put "$PRELOADED/before" 0644
    rm -f "$PRELOADED/wanted"
    printf '%s\n' "$AIRSEED_RUNTIME" | put "$PRELOADED/runtime" 0644
    for name in manifest.json index.json blobs; do put "$PRELOADED/$name" 0644 <"$1/$name"; done
    put "$PRELOADED/oci-layout" 0644 <"$BASE/images/oci-layout"
    wanted_images "$PRELOADED" | put "$PRELOADED/wanted" 0644
    hold_images
}

# Hold each image. docker refuses to take one that a container has, even one that never runs, and
# kubelet sees no container but its own. containerd takes any name away; with the label it keeps what
# the name led to, from which the name is made again. Later containerds and kubelets know pinned images.
hold_images() {
    local name digest held
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        held=$(docker ps --all --no-trunc --filter "label=$HELD_BY" --format "{{.Label \"$HELD_BY\"}}")
        while read -r name digest; do
            [[ $'\n'$held$'\n' != *$'\n'"$digest"$'\n'* ]] || continue
            docker create --label "$HELD_BY=$digest" --name "airseed-holds-${digest:7:12}" --network none "$digest" /held >/dev/null
            held=$held$'\n'$digest
        done <"$PRELOADED/wanted"
    elif [ "$(cat "$PRELOADED/held" 2>/dev/null)" != "$(cat "$PRELOADED/wanted")" ]; then
        while read -r name digest; do
            ctr --namespace k8s.io content label "$digest" containerd.io/gc.root=airseed >/dev/null
            ctr --namespace k8s.io images label "$name" io.cri-containerd.pinned=pinned >/dev/null
        done <"$PRELOADED/wanted"
        put "$PRELOADED/held" 0644 <"$PRELOADED/wanted"
    fi
}

# Hold the image NAME, which leads to DIGEST, no longer.
let_go() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker rm "airseed-holds-${2:7:12}" >/dev/null 2>&1 || true
    else
        ctr --namespace k8s.io content label "$2" containerd.io/gc.root= >/dev/null 2>&1 || true
        ctr --namespace k8s.io images label "$1" io.cri-containerd.pinned= >/dev/null 2>&1 || true
    fi
}

# Take an image's NAME away, and with the last name what it led to, DIGEST; not from a pod.
remove_image() {
    let_go "$@"
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker rmi "$1" >/dev/null 2>&1 || true
    else
        ctr --namespace k8s.io images rm --sync "$1" >/dev/null 2>&1 || true
    fi
}

# Let go of the images that a change has left behind. They stay until kubelet wants their room: somebody's
# workload may use them, and nowhere else are they to be had.
let_go_of_old() {
    local name digest
    [ -s "$PRELOADED/before" ] || return 0
    while read -r name digest; do
        grep -qsxF "$name $digest" "$PRELOADED/wanted" || let_go "$name" "$digest"
    done <"$PRELOADED/before"
    rm -f "$PRELOADED/before"
}

# Print the containers that do not only hold an image.
foreign_containers() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker ps --all --format "{{.ID}} {{.Label \"$HELD_BY\"}}" | awk 'NF == 1 { print $1 }'
    else
        ctr --namespace k8s.io containers ls -q
    fi
}

# Let go of all images.
release_images() {
    local held
    rm -f "$PRELOADED/held"
    [ "$AIRSEED_RUNTIME" = docker ] || return 0
    held=$(docker ps --all --quiet --filter "label=$HELD_BY")
    # shellcheck disable=SC2086 # several
    [ -z "$held" ] || docker rm $held >/dev/null
}

# Bring back the names of images whose content is still there.
rename_images() {
    local name digest
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        while read -r name digest; do docker tag "$digest" "$name" 2>/dev/null || true; done
    else
        tar -cf - -C "$PRELOADED" oci-layout index.json | ctr --namespace k8s.io images import - >/dev/null 2>&1 || true
        rm -f "$PRELOADED/held"
    fi
}

# Load the images in LIST, or all where it is not known which blobs are whose, from the payload.
reload_images() {
    local folder=$PAYLOAD/reload
    mkdir -p "$folder"
    cp "$PRELOADED/index.json" "$PRELOADED/manifest.json" "$PRELOADED/blobs" "$folder/"
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        entries_of "$1" >"$folder/entries"
        awk '{ printf "%s%s", (NR > 1 ? "," : "["), $0 } END { print "]" }' "$folder/entries" >"$folder/manifest.json"
        grep -o 'blobs/sha256/[0-9a-f]*' "$folder/entries" | sort -u >"$folder/blobs"
    fi
    { printf 'images/oci-layout\n' && sed 's/^/images\//' "$folder/blobs"; } >"$folder/members"
    take_payload <"$folder/members"
    [ -e "$RETURNING" ] || present_images | put "$RETURNING" 0644
    # loaded from a torn layer an image would be torn for good
    sync
    (load "$folder")
    rm -f "$PRELOADED/held"
}

# Print the entries of docker's list for the images in LIST, one a line.
entries_of() {
    sed -e 's/{"Config":/\n&/g' "$PRELOADED/manifest.json" | sed -n 's/^\({"Config":.*}\)[],]*$/\1/p' |
        awk 'FILENAME == ARGV[1] { sub(/^.*sha256:/, ""); wanted[$0] = 1; next }
            match($0, /blobs\/sha256\/[0-9a-f]+/) && (substr($0, RSTART + 13, RLENGTH - 13) in wanted)' "$1" -
}
