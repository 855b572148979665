#!/bin/bash
# The user's commands that come before everything else.

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
# shellcheck source=cloudinit-templates/node/lib/commands.sh
. "$LIBEXEC/lib/commands.sh"
load_environment

run_commands "$ETC/before.sh" machine.commands.before
