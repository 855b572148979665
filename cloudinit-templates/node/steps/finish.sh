#!/bin/bash
# See the node Ready, and clean up.
# reads: NODE ROLE ADDRESS CNI CONTROL_PLANES WINDOW SUMS SNAPSHOTS_EVERY
# uses: PAYLOAD_URL MADE_BYTES KUBEADM_FILES IMAGES RUNTIME SKIP_PHASES snapshots.curl

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values payload scrub window why snapshots
load_environment

is_ready() {
    [ "$(kubectl --kubeconfig "$KUBERNETES/kubelet.conf" --request-timeout=10s get node "$AIRSEED_NODE" \
        -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

why_not_ready() {
    kubectl --kubeconfig "$KUBERNETES/kubelet.conf" --request-timeout=10s get node "$AIRSEED_NODE" \
        -o 'jsonpath={.status.conditions[?(@.type=="Ready")].message}' 2>&1 | tail -n 1 | cut -b 1-200 || true
}

# The copies of RPMs and images take room; a repository file that points to them would be wrong.
tidy() {
    local file=$R/etc/yum.repos.d/airseed.repo
    rm -rf "${PAYLOAD:?}" "$STATE/manifests" "$LISTS"
    if grep -qsF "file://$PAYLOAD/" "$file"; then rm -f "$file"; fi
}

# Without a network plugin of ours it is the user's manifests that make a node Ready.
if [ "$AIRSEED_CNI" != none ]; then
    wait_until "this node to be Ready" "${AIRSEED_READY_PATIENCE:-900}" is_ready ||
        fail_saying "this node is not Ready: $(why_not_ready)" "kubectl describe node $AIRSEED_NODE, and the pods of the network plugin: kubectl get pods -A -o wide"
fi
tidy
time_snapshots
wait_until "cloud-init to end" "${AIRSEED_CLOUD_PATIENCE:-120}" cloud_init_is_through || say "warning: cloud-init still runs"
pin_cloud_init
if [ "$AIRSEED_ROLE" != init ]; then
    scrub
elif window_is_wanted; then
    open_window
else
    close_window
fi
