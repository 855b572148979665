#!/bin/bash
# Say that this node is done with its stage, and give its turn back.
# seed: none has it; the script of a change brings it
# always: others wait for it
# reads: NODE CHANGE
# uses: PLANES COUNT COUNT_BEFORE AT_ONCE STAGES LAST ENDPOINT ROLE KUBEADM_FILES IMAGES RUNTIME SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES ADDRESS KUBERNETES NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role turns payload images drain units
load_environment

# whoever takes the next turn may need this node's room; a change whose place this one takes may have left it so, too
wait_until "the API server, to let pods come to this node again" "${AIRSEED_API_PATIENCE:-300}" uncordon ||
    fail "this node can't be uncordoned" "kubectl uncordon $AIRSEED_NODE"

wait_until "the API server to note that this node is done" "${AIRSEED_API_PATIENCE:-300}" release ||
    fail "it can't be noted that this node is done: HTTP $API_CODE, $API_TROUBLE" "does the API server at $AIRSEED_ENDPOINT answer?"

# copies of keys are for the time in which something may tear them
rm -rf "${KEEP:?}"
if [ "$AIRSEED_STAGE" = "$AIRSEED_LAST" ]; then
    # one that an earlier airseed seeded has it not
    ! is_control_plane || start_members_alone
    let_go_of_old
    tidy_payload
fi
