#!/bin/bash
# Replace kubeadm, which disturbs nobody and saves time in the turn.
# seed: none has it; the script of a change brings it
# reads: KUBEADM_PACKAGES
# uses: SUMS REPOSITORIES PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values packages
load_environment

# shellcheck disable=SC2086 # several names
install_packages $AIRSEED_KUBEADM_PACKAGES
