#!/bin/bash
# The user's commands for a node that is in its cluster.
# reads: ROLE after.sh

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role commands
load_environment

# a worker has no admin's kubeconfig, but may ask as the node that it is
if is_control_plane; then export KUBECONFIG=$KUBERNETES/admin.conf; else export KUBECONFIG=$KUBERNETES/kubelet.conf; fi
run_commands "$ETC/after.sh" machine.commands.after
