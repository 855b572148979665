#!/bin/bash
# Have what runs on this node ask for the API server at the endpoint; on the first control plane also whoever
# joins from now on.
# seed: none has it; the script of a change brings it
# reads: NODE ENDPOINT
# uses: COUNT CHANGE KUBERNETES ROLE PLANES ADDRESS KUBEADM_FILES RUNTIME CNI IMAGES SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values aside pods ready role drain
load_environment

# Print where kubeadm would have this node's NAME.conf lead: some releases keep some programs at their own API server.
server_of() {
    is_control_plane || { printf 'https://%s' "$AIRSEED_ENDPOINT" && return; }
    rm -f "$ASIDE/$1.conf"
    aside init phase kubeconfig "$1" >/dev/null || kubeadm_failed "kubeadm can't tell where $1.conf is to lead"
    sed -n 's/^ *server: *//p' "$ASIDE/$1.conf"
}

# Have NAME.conf lead there, noting what starts again for it under NOTE.
lead() {
    local file=$KUBERNETES/$1.conf server
    [ -s "$file" ] || return 0
    server=$(server_of "$1")
    [[ $server == https://* ]] || fail "kubeadm leads $1.conf nowhere" "run by hand: kubeadm init phase kubeconfig $1 --help"
    sed "s|^\( *server: \).*|\1$server|" "$file" | put_noting "$2" "$file" 0600
}

# Tell those who join, by what the bootstrap tokens sign.
announce() {
    local before after
    before=$(as_admin -n kube-public get configmap cluster-info --ignore-not-found -o 'jsonpath={.data.kubeconfig}') || return 1
    after=$(printf '%s\n' "$before" | sed "s|^\( *server: \).*|\1https://$AIRSEED_ENDPOINT|")
    [ "$before" = "$after" ] || patch_map kube-public cluster-info kubeconfig "$after"
}

if is_control_plane; then
    lay_aside
    lead controller-manager kube-controller-manager
    lead scheduler kube-scheduler
    lead admin admin
    lead super-admin admin
    is_users "$R/root/.kube/config" || put "$R/root/.kube/config" 0600 <"$ADMIN"
    settled admin
    restart_pods
fi
lead kubelet kubelet
if is_changed kubelet; then
    systemctl restart kubelet.service
    wait_until "the API server to answer this node at $AIRSEED_ENDPOINT" "${AIRSEED_API_PATIENCE:-300}" node_answers ||
        fail "the API server does not answer this node at $AIRSEED_ENDPOINT" "kubectl --kubeconfig $KUBERNETES/kubelet.conf get node $AIRSEED_NODE"
    await_ready
    settled kubelet
fi
if [ "$AIRSEED_NODE" = "${AIRSEED_PLANES%% *}" ]; then
    announce || fail "those who join can't be told of $AIRSEED_ENDPOINT" "kubectl -n kube-public get configmap cluster-info -o yaml"
fi
