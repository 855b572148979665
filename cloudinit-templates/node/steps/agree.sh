#!/bin/bash
# Agree with the other machines on the change that is under way, before anything is touched.
# seed: none has it; the script of a change brings it
# always: another change may have been started meanwhile
# reads: NODE CHANGE
# uses: PLANES COUNT COUNT_BEFORE AT_ONCE STAGES ENDPOINT ROLE KUBEADM_FILES IMAGES RUNTIME SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES ADDRESS NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role kubeadm turns agreement
load_environment

! is_away || exit 0
agree
# what others said of changes before this one
! is_control_plane || as_admin -n airseed delete lease -l "change,change!=$AIRSEED_CHANGE" || true
