#!/bin/bash
# Wait for the clock, whose program may have come with the packages.
# reads: NTP

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values time
load_environment

wait_for_time
