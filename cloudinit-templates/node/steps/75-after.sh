#!/bin/bash
# The user's commands for a node that is in its cluster.

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
load_environment

[ -f "$ETC/after.sh" ] || exit 0
export KUBECONFIG=$KUBERNETES/admin.conf
"$BASH" -e "$ETC/after.sh" || fail "the commands in $ETC/after.sh failed" \
    "they are machine.after in cluster.yaml; mend them there, or in that file on this machine"
