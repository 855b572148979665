#!/bin/bash
# On the first control plane: keep what others join by until they have.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE
# uses: ADDRESS AT_ONCE COUNT COUNT_BEFORE ENDPOINT IMAGES KUBEADM_FILES MADE_BYTES PAYLOAD_URL PLANES ROLE RUNTIME
# uses: SKIP_PHASES STAGES SUMS NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values turns
load_environment

others_are_done() {
    local name
    # the last of all has taken back what nodes may do
    read_turns || { [ "$API_CODE" = 403 ] && return 0 || return 1; }
    for name in $AIRSEED_PLANES; do
        [ "$name" = "$AIRSEED_NODE" ] || node_is_done "$name" "$AIRSEED_STAGE" || return 1
    done
}

[ "$AIRSEED_ROLE" = init ] || exit 0
# the uploaded certificates are there for two hours
wait_until "the other control planes to join" "${AIRSEED_GATHER_PATIENCE:-7000}" others_are_done ||
    say "warning: not all control planes have joined; airseed changes says how the others get in"
