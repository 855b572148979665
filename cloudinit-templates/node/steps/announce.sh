#!/bin/bash
# Say that this node has what all are to have before the first one takes its turn. What is left to do before its own
# turn keeps nobody waiting, and is done when that is near.
# seed: none has it; the script of a change brings it
# always: the cluster may have forgotten it meanwhile
# reads: NODE CHANGE
# uses: PLANES COUNT COUNT_BEFORE AT_ONCE STAGES ENDPOINT ROLE KUBEADM_FILES IMAGES RUNTIME SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES ADDRESS NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role turns
load_environment

! is_away && [ ! -e "$WORK/over" ] || exit 0
await_turns
announce
await_near
