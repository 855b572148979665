#!/bin/bash
# Wait until this node answers well for a while: a new kubelet makes its static pods anew some seconds after
# it said that it is ready.
# seed: none has it; the script of a change brings it
# reads: NODE KUBERNETES
# uses: CHANGE ROLE RUNTIME IMAGES KUBEADM_FILES SKIP_PHASES ADDRESS SUMS PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role kubeadm drain
load_environment

SINCE=''

# Tell whether all answers have been good for long enough, and all has started by then.
answers_well() {
    is_well || { SINCE='' && return 1; }
    SINCE=${SINCE:-$(clock)}
    [ $(($(clock) - SINCE)) -ge "${AIRSEED_GOOD_SECONDS:-12}" ] && has_started
}

is_well() {
    runs_release || return 1
    is_control_plane || return 0
    own_api_is_healthy
}

# kubelet says of what has started a minute or more later that it is ready, and nobody asks for that.
has_started() {
    local started
    is_control_plane || return 0
    started=$(as_node -n kube-system get pods -l tier=control-plane --field-selector "spec.nodeName=$AIRSEED_NODE" \
        -o 'jsonpath={range .items[*]}{.status.containerStatuses[*].started} {end}' 2>/dev/null) || return 1
    [[ $started != *false* ]]
}

wait_until "this node to answer well" "${AIRSEED_READY_PATIENCE:-900}" answers_well ||
    fail_saying "this node does not answer well on $AIRSEED_KUBERNETES" "kubectl describe node $AIRSEED_NODE, journalctl -u kubelet"
