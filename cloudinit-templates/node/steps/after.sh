#!/bin/bash
# See that what guards the cluster does, then run the user's commands for a node that is in it.
# reads: NODE ROLE ADDRESS after.sh
# uses: ENDPOINT CRI_SOCKET KUBEADM_FILES SKIP_PHASES IMAGES RUNTIME SUMS PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role commands proof
load_environment

# a worker has no admin's kubeconfig, but may ask as the node that it is
if is_control_plane; then
    export KUBECONFIG=$KUBERNETES/admin.conf
    prove_encryption
    prove_audit
else
    export KUBECONFIG=$KUBERNETES/kubelet.conf
fi
run_commands "$ETC/after.sh" machine.commands.after
