#!/bin/bash
# The user's commands that come before everything else.

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
load_environment

[ -f "$ETC/before.sh" ] || exit 0
"$BASH" -e "$ETC/before.sh" || fail "the commands in $ETC/before.sh failed" \
    "they are machine.before in cluster.yaml; mend them there, or in that file on this machine"
