#!/bin/bash
# On a worker: have those ask again who hold what they read from the cluster before it was restored, whose
# history begins earlier now. The workloads go on.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE
# uses: ADDRESS AT_ONCE COUNT COUNT_BEFORE ENDPOINT IMAGES KUBEADM_FILES MADE_BYTES PAYLOAD_URL PLANES ROLE RUNTIME
# uses: SKIP_PHASES STAGES SUMS NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values turns
load_environment

readonly SYSTEM='kube-system kube-flannel calico-system tigera-operator calico-apiserver'

first_is_done() { read_turns && node_is_done "${AIRSEED_PLANES%% *}" "$AIRSEED_STAGE"; }

wait_until "${AIRSEED_PLANES%% *} to have the cluster back" "${AIRSEED_TURN_PATIENCE:-3600}" first_is_done ||
    fail "${AIRSEED_PLANES%% *} does not have the cluster back" "what does its airseed-status say?"
systemctl restart kubelet.service
for namespace in $SYSTEM; do
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker ps --filter "label=io.kubernetes.pod.namespace=$namespace" --format '{{.ID}} {{.Label "io.kubernetes.container.name"}}' |
            awk '$2 != "POD" { print $1 }' | while read -r id; do docker stop "$id"; done
    else
        crictl ps --quiet --label "io.kubernetes.pod.namespace=$namespace" | while read -r id; do crictl stop "$id"; done
    fi
done
