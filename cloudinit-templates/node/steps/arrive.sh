#!/bin/bash
# See that this machine, under its new name, asks its own API server again.
# seed: none has it; the script of a change brings it
# reads: NODE
# uses: ADDRESS CHANGE CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL REGISTRY
# uses: ROLE RUNTIME SKIP_PHASES SUMS registry.json

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role members join
load_environment

no_detour
wait_until "the API server at $AIRSEED_ENDPOINT to answer" "${AIRSEED_API_PATIENCE:-300}" node_is_known ||
    fail_saying "the API server at $AIRSEED_ENDPOINT does not answer this node" "journalctl -u kubelet, and the containers' logs"
