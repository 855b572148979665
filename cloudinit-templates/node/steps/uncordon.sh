#!/bin/bash
# Let pods come again, if it was us who kept them away.
# seed: none has it; the script of a change brings it
# always: no node is left cordoned
# reads: NODE CHANGE
# uses: COUNT ROLE SUMS PAYLOAD_URL MADE_BYTES KUBEADM_FILES SKIP_PHASES IMAGES RUNTIME ADDRESS KUBERNETES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values drain
load_environment

wait_until "the API server, to let pods come to this node again" "${AIRSEED_API_PATIENCE:-300}" uncordon ||
    fail "this node can't be uncordoned" "kubectl uncordon $AIRSEED_NODE"
