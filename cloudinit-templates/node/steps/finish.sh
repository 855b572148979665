#!/bin/bash
# See the node Ready, and clean up.
# reads: NODE ROLE ADDRESS CNI CONTROL_PLANES WINDOW SUMS SNAPSHOTS_EVERY
# uses: PAYLOAD_URL MADE_BYTES KUBEADM_FILES IMAGES RUNTIME SKIP_PHASES snapshots.curl KEEP_FREE NEED_MIB

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values payload ready scrub snapshots window
load_environment

await_ready
tidy_payload
time_snapshots
wait_until "cloud-init to end" "${AIRSEED_CLOUD_PATIENCE:-120}" cloud_init_is_through || say "warning: cloud-init still runs"
pin_cloud_init
if [ "$AIRSEED_ROLE" != init ]; then
    scrub
elif window_is_wanted; then
    open_window
else
    close_window
fi
