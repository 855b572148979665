#!/bin/bash
# Move this node's pods elsewhere before kubelet is replaced.
# seed: none has it; the script of a change brings it
# always: whoever gave up has let pods in again
# reads: NODE CHANGE
# uses: ROLE SUMS PAYLOAD_URL MADE_BYTES KUBEADM_FILES SKIP_PHASES IMAGES RUNTIME ADDRESS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role drain
load_environment

if [ -e "$WORK/over" ] || is_stamped step-settle "$(step_key settle)"; then
    say "what pods had to move for is done"
elif is_away; then
    say "pods have moved already"
elif is_alone; then
    say "a node alone is not drained: its pods could go nowhere"
else
    drain
fi
