#!/bin/bash
# The user's commands that come before everything else.
# reads: before.sh

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values commands
load_environment

run_commands "$ETC/before.sh" machine.commands.before
