#!/bin/bash
# Look whether this node can be upgraded, before anything on it is changed.
# seed: none has it; the script of a change brings it
# reads: NODE FROM KUBERNETES SUMS
# uses: COUNT CHANGE NEED_MIB KEEP_FREE PAYLOAD_URL MADE_BYTES ROLE IMAGES RUNTIME KUBEADM_FILES SKIP_PHASES ADDRESS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role payload room drain kubeadm
load_environment

check_release() {
    local now
    now=$(kubelet --version)
    now=${now##* v}
    [ "$now" = "$AIRSEED_FROM" ] || [ "$now" = "$AIRSEED_KUBERNETES" ] ||
        fail "this node runs Kubernetes $now, and the change goes from $AIRSEED_FROM to $AIRSEED_KUBERNETES" \
            "collect its result.json, and write the change again: airseed changes" "$HOPELESS"
}

check_cluster() {
    await_answer
    ! is_control_plane || own_api_is_healthy ||
        fail_saying "the API server on this node is not well" "an upgrade mends nothing: kubectl -n kube-system get pods, journalctl -u kubelet"
}

check_release
check_room
check_cluster
is_alone || check_pods
find_payload
say "the bundle is $PAYLOAD_AT ($PAYLOAD_KIND)"
