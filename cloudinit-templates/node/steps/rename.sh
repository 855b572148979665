#!/bin/bash
# Give this machine its new name, and ways to its helper while it joins by it.
# seed: none has it; the script of a change brings it
# always: a power cut takes the way to the helper
# reads: NODE
# uses: ADDRESS CHANGE CRI_SOCKET ENDPOINT HELPER_ADDRESS IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES
# uses: PAYLOAD_URL ROLE RUNTIME SKIP_PHASES SUMS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values members
load_environment

printf '%s\n' "$AIRSEED_NODE" | put "$R/etc/hostname" 0644
hostname "$AIRSEED_NODE"
if is_stamped joined; then no_detour; else detour "$AIRSEED_HELPER_ADDRESS"; fi
