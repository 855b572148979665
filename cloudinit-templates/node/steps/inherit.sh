#!/bin/bash
# What first boot has done on this machine counts, as far as it was done for the same values.
# seed: none has it; the script of a change brings it
# reads: NODE

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values
load_environment

say "what was done for $AIRSEED_NODE before counts"
mkdir -p "$STAMPS"
for step in preflight host packages time runtime images; do
    [ ! -s "$STATE/stamps/step-$step" ] || [ -e "$STAMPS/step-$step" ] || put "$STAMPS/step-$step" 0600 <"$STATE/stamps/step-$step"
done
