#!/bin/bash
# Have a snapshot of etcd before a control plane is changed.
# seed: none has it; the script of a change brings it
# reads: NODE
# uses: CHANGE ROLE RUNTIME SNAPSHOTS_EVERY SNAPSHOTS_KEEP SNAPSHOTS_TO snapshots.curl KEEP_FREE NEED_MIB

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role snapshots
load_environment

is_control_plane || exit 0
lock_snapshots
take_snapshot "before-$AIRSEED_CHANGE${AIRSEED_STAGE:+-$AIRSEED_STAGE}"
prune_snapshots "${AIRSEED_SNAPSHOTS_KEEP:-5}"
[ -z "$AIRSEED_SNAPSHOTS_TO" ] || (send_snapshot "$SNAPSHOT" "$AIRSEED_SNAPSHOTS_TO") || say "warning: the snapshot is on this machine alone"
