#!/bin/bash
# Tell kubelet and kubeadm which runtime this node has, and see the node Ready with it.
# seed: none has it; the script of a change brings it
# reads: RUNTIME CRI_SOCKET
# uses: NODE ROLE ADDRESS ENDPOINT KUBEADM_FILES SKIP_PHASES IMAGES SUMS PAYLOAD_URL MADE_BYTES REGISTRY

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role kubeadm why
load_environment

# What kubeadm writes for a runtime; the network plugin is dockershim's own flag, and with one that it does
# not know kubelet ends. All else in the file stays.
write_flags() {
    local file=$KUBELET/kubeadm-flags.env flags
    case $AIRSEED_RUNTIME in
    docker) flags=--network-plugin=cni ;;
    *) flags="--container-runtime=remote --container-runtime-endpoint=$AIRSEED_CRI_SOCKET" ;;
    esac
    grep -qs '^KUBELET_KUBEADM_ARGS="' "$file" || fail "$file has no KUBELET_KUBEADM_ARGS" "kubeadm join wrote it: what changed it?"
    sed -E '/^KUBELET_KUBEADM_ARGS="/ {
        s/ *--(container-runtime|container-runtime-endpoint|network-plugin)(=[^ "]*)?//g
        s|=" *|="'"$flags"' |
        s| *"$|"|
    }' "$file" | put "$file" 0644
}

node_says_of_itself() {
    as_node get node "$AIRSEED_NODE" -o "jsonpath=$1" 2>/dev/null
}

# kubeadm reads there which runtime it asks.
annotate() {
    as_node annotate node "$AIRSEED_NODE" --overwrite \
        "kubeadm.alpha.kubernetes.io/cri-socket=$AIRSEED_CRI_SOCKET"
}

runs_on_it() {
    [[ $(node_says_of_itself '{.status.nodeInfo.containerRuntimeVersion}') == "$AIRSEED_RUNTIME://"* ]] &&
        [ "$(node_says_of_itself '{.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

write_flags
sync
systemctl enable kubelet.service
systemctl restart kubelet.service
if is_control_plane; then
    wait_until "this node's API server to answer" "${AIRSEED_FORWARD_PATIENCE:-300}" own_api_is_healthy ||
        fail_saying "this node's API server does not come up in $AIRSEED_RUNTIME" "journalctl -u kubelet, and crictl ps -a or docker ps -a"
fi
wait_until "the API server to note this node's runtime" "${AIRSEED_API_PATIENCE:-300}" annotate ||
    fail "this node's annotation kubeadm.alpha.kubernetes.io/cri-socket can't be set" "does the API server at $AIRSEED_ENDPOINT answer?"
wait_until "this node to be Ready with $AIRSEED_RUNTIME" "${AIRSEED_READY_PATIENCE:-900}" runs_on_it ||
    fail_saying "this node is not Ready with $AIRSEED_RUNTIME" "kubectl describe node $AIRSEED_NODE, and journalctl -u kubelet"
unstamp away
[ -n "$AIRSEED_REGISTRY" ] || systemctl start airseed-images.timer
