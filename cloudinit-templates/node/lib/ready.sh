#!/bin/bash
# Whether this node is Ready, and why not. Sourced.

need kubeadm why

is_ready() {
    [ "$(as_node get node "$AIRSEED_NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

why_not_ready() {
    as_node get node "$AIRSEED_NODE" \
        -o 'jsonpath={.status.conditions[?(@.type=="Ready")].message}' 2>&1 | tail -n 1 | cut -b 1-200 || true
}

# Without a network plugin of ours it is the user's manifests that make a node Ready.
await_ready() {
    [ "$AIRSEED_CNI" != none ] || return 0
    wait_until "this node to be Ready" "${AIRSEED_READY_PATIENCE:-900}" is_ready ||
        fail_saying "this node is not Ready: $(why_not_ready)" "kubectl describe node $AIRSEED_NODE, and the pods of the network plugin: kubectl get pods -A -o wide"
}
