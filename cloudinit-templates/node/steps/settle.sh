#!/bin/bash
# Wait until this node answers well for a while: a new kubelet makes its static pods anew some seconds after
# it said that it is ready.
# seed: none has it; the script of a change brings it
# reads: NODE KUBERNETES
# uses: COUNT CHANGE ROLE RUNTIME IMAGES KUBEADM_FILES SKIP_PHASES ADDRESS SUMS PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role kubeadm drain
load_environment

SINCE=''

# Tell whether all answers have been good for long enough, and all has started by then. Kubelet makes nothing anew but
# static pods, and none of them once more.
answers_well() {
    local seconds=${AIRSEED_GOOD_SECONDS:-12}
    is_well || { SINCE='' && return 1; }
    SINCE=${SINCE:-$(clock)}
    if is_control_plane; then
        pods_say || return 1
        ! are_new || seconds=$((seconds / 4))
        has_started || return 1
    elif ! has_static_pods; then
        seconds=$((seconds / 4))
    fi
    [ $(($(clock) - SINCE)) -ge "$seconds" ]
}

# The cluster goes on calling a node Ready for a while whose kubelet has ended.
is_well() {
    systemctl is-active --quiet kubelet.service && runs_release || return 1
    is_control_plane || return 0
    own_api_is_healthy
}

has_static_pods() { [ -n "$(find "$MANIFESTS" ! -type d ! -name '.*' 2>/dev/null | head -n 1)" ]; }

# Set SAID to a line "STARTED SINCE" for each of the control plane's containers.
pods_say() {
    SAID=$(as_node -n kube-system get pods -l tier=control-plane --field-selector "spec.nodeName=$AIRSEED_NODE" \
        -o 'jsonpath={range .items[*].status.containerStatuses[*]}{.started} {.state.running.startedAt}{"\n"}{end}' 2>/dev/null)
}

# Tell whether all of them run since kubelet was started.
are_new() {
    local began
    began=$(systemctl show --property=ActiveEnterTimestamp kubelet.service) && [ -n "${began#*=}" ] &&
        began=$(date -u -d "${began#*=}" +%Y-%m-%dT%H:%M:%SZ) || return 1
    printf '%s\n' "$SAID" | awk -v began="$began" -v names="$PODS" '$2 > began { new++ } END { exit !(new >= split(names, name, " ")) }'
}

# Ask what kubelet asks in its probes, of which the first comes ten seconds after a start, and what it says of them.
has_started() { { serves 10257 && serves 10259; } || [[ $SAID != *false* ]]; }

serves() { [ "$(curl -q -s -k --noproxy '*' --max-time 5 "https://127.0.0.1:$1/healthz" 2>/dev/null)" = ok ]; }

wait_until "this node to answer well" "${AIRSEED_READY_PATIENCE:-900}" answers_well ||
    fail_saying "this node does not answer well on $AIRSEED_KUBERNETES" "kubectl describe node $AIRSEED_NODE, journalctl -u kubelet"
