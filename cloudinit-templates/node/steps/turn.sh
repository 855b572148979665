#!/bin/bash
# Wait for this node's turn.
# seed: none has it; the script of a change brings it
# always: whoever comes back after a power cut takes its turn again
# reads: NODE CHANGE
# uses: PLANES COUNT COUNT_BEFORE AT_ONCE STAGES ENDPOINT ROLE KUBEADM_FILES IMAGES RUNTIME SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES ADDRESS NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role turns
load_environment
! is_away || exit 0

case $(plan_setting turn) in
each) take_turn ;;
control-planes) ! is_control_plane || take_turn ;;
*) ;;
esac
