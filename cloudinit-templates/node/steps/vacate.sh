#!/bin/bash
# Take the control plane of this machine down, to begin it anew from a snapshot.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE
# uses: ADDRESS ADDRESSES CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL PEERS
# uses: ROLE RUNTIME SKIP_PHASES SNAPSHOT SNAPSHOTS_EVERY SNAPSHOT_KEYS_SUM SNAPSHOT_SUM SUMS snapshots.curl KEEP_FREE NEED_MIB

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values restore
load_environment

aside=$STATE/etcd-before-$AIRSEED_CHANGE
[ "$AIRSEED_ROLE" != init ] || examine_snapshot
check_room_to_restore "$aside"
systemctl disable kubelet.service
systemctl stop kubelet.service
if [ -d "$R/var/lib/etcd/member" ] && [ ! -e "$aside" ]; then
    say "etcd's data as they are go to $aside"
    (umask 077 && cp -a "$R/var/lib/etcd/member" "$aside.new") || {
        rm -rf "$aside.new"
        fail "etcd's data can't be put aside" "make room below $STATE"
    }
    sync
    mv "$aside.new" "$aside"
    sync
fi
clear_control_plane
[ "$AIRSEED_ROLE" = init ] || shed
