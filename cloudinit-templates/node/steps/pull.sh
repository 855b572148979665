#!/bin/bash
# Pull the images of the stage from the internal registry while nothing waits for them: else kubelet does
# that when this node is drained, and finds out then what the registry lacks.
# seed: none has it; the script of a change brings it
# reads: PULLS RUNTIME
# uses: REGISTRY

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values
load_environment

is_there() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker image inspect "$1" >/dev/null 2>&1
    else
        [ -n "$(crictl images -q "$1" 2>/dev/null)" ]
    fi
}

# By the runtime, as kubelet does, and with kubelet's credentials.
pull() {
    local limit=${AIRSEED_LOAD_PATIENCE:-3600} folder=$R/var/lib/kubelet
    [ -s "$folder/config.json" ] || folder=$R/root/.docker
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        timeout --foreground "$limit" docker --config "$folder" pull "$1"
    else
        timeout --foreground "$limit" crictl pull "$1"
    fi
}

main() {
    local name
    for name in $AIRSEED_PULLS; do
        ! is_there "$name" || continue
        working "$name to come from $AIRSEED_REGISTRY"
        # what it said last is the cause
        pull "$name" || fail "$name can't be pulled" ''
    done
}

main
