#!/bin/bash
# Move this node's pods elsewhere before kubelet is replaced.
# seed: none has it; the script of a change brings it
# always: whoever gave up has let pods in again
# reads: NODE CHANGE
# uses: COUNT KUBELET_PACKAGES KUBERNETES ROLE SUMS PAYLOAD_URL MADE_BYTES KUBEADM_FILES SKIP_PHASES IMAGES RUNTIME ADDRESS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role drain
load_environment

# Tell whether the stage has no other kubelet than the one that runs, as after a change that was given up when this
# node was done with it.
is_new() { [ -n "$AIRSEED_KUBELET_PACKAGES" ] && [ "$(kubelet --version)" = "Kubernetes v$AIRSEED_KUBERNETES" ] && runs_release; }

if [ -e "$WORK/over" ] || is_stamped step-settle "$(step_key settle)"; then
    say "what pods had to move for is done"
elif is_away; then
    say "pods have moved already"
elif await_answer && is_new; then
    say "this node runs the release already"
elif is_alone; then
    say "a node alone is not drained: its pods could go nowhere"
else
    drain
fi
