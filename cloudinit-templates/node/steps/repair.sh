#!/bin/bash
# Bring back a node whose certificates have ended: nobody answers it then, so it asks nobody.
# seed: none has it; the script of a change brings it
# reads: NODE RENEW
# uses: CLUSTER ENDPOINT_BY ENDPOINT_CARD ENDPOINT_IMAGE ENDPOINT_PLANES ROLE KUBERNETES KUBEADM_FILES RUNTIME ADDRESS ENDPOINT IMAGES SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values renewal endpoint
load_environment

has_ended() { [ -e "$BOOTSTRAP" ] || [ ! -s "$CLIENT" ] || { due 0 | grep -v '^kubelet-server ' >/dev/null; }; }

# Tell whether the API server answers. Until etcd has its quorum it ends again and again, and kubelet lets it
# wait longer each time; a new kubelet does not.
api_comes_back() {
    ! own_api_is_healthy || return 0
    LOOKED=$((${LOOKED:-0} + 1))
    if [ $((LOOKED % 60)) -eq 0 ] && [ -z "$(container_of kube-apiserver)" ]; then systemctl restart kubelet.service; fi
    return 1
}

# All at once: as long as this control plane is down no other can need it.
repair_control_plane() {
    local name
    renew_files "$AIRSEED_RENEW"
    renew_kubelet "$AIRSEED_RENEW"
    start_kubelet
    for name in $PODS; do
        is_changed "$name" || continue
        end_container "$name"
    done
    wait_until "this node's API server to come back: etcd needs most of the control planes, so run the scripts of the others" \
        "${AIRSEED_CLUSTER_PATIENCE:-3600}" api_comes_back ||
        fail_saying "the API server of this node does not come back" "are the scripts of the other control planes running, too? etcd needs most of them"
    for name in $PODS; do settled "$name"; done
    # kube-vip has read the certificate of before
    lay_endpoint
}

check_authorities
if has_ended; then
    say "certificates of this node have ended: $(due 0 | sed 's/ .*//' | tr '\n' ' ')"
    if is_control_plane; then repair_control_plane; else renew_kubelet "$AIRSEED_RENEW"; fi
fi
! is_control_plane || admit_kubelets
