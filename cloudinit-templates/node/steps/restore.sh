#!/bin/bash
# On the first control plane: etcd's data and the cluster's keys, from a snapshot.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE
# uses: ADDRESS ADDRESSES CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL PEERS
# uses: ROLE RUNTIME SKIP_PHASES SNAPSHOT SNAPSHOTS_EVERY SNAPSHOT_KEYS_SUM SNAPSHOT_SUM SUMS snapshots.curl KEEP_FREE NEED_MIB

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values restore
load_environment

[ "$AIRSEED_ROLE" = init ] || exit 0
! is_stamped no-return || exit 0
lock_snapshots
examine_snapshot
await_silence
restore_keys
restore_data
# from here on it is resumed, and never begun with an empty etcd
stamp_durably no-return
