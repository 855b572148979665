#!/bin/bash
# Install the packages, from the bundle and nowhere else.
# reads: PACKAGES REPOSITORIES SUMS
# uses: PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values packages
load_environment

# shellcheck disable=SC2086 # several names
install_packages $AIRSEED_PACKAGES
