#!/bin/bash
# The user's commands for a node that is in its cluster.

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
load_environment

[ -f "$ETC/after.sh" ] || exit 0
# a worker has no admin's kubeconfig, but may ask as the node that it is
if is_control_plane; then export KUBECONFIG=$KUBERNETES/admin.conf; else export KUBECONFIG=$KUBERNETES/kubelet.conf; fi
"$BASH" -e "$ETC/after.sh" || fail "the commands in $ETC/after.sh failed" \
    "they are machine.after in cluster.yaml; mend them there, or in that file on this machine"
