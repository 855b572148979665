#!/bin/bash
# Take the control plane of this machine down, to begin it anew from a snapshot.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE
# uses: ADDRESS ADDRESSES CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL PEERS
# uses: ROLE RUNTIME SKIP_PHASES SNAPSHOT SNAPSHOTS_EVERY SNAPSHOT_KEYS_SUM SNAPSHOT_SUM SUMS snapshots.curl

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values restore
load_environment

[ "$AIRSEED_ROLE" != init ] || examine_snapshot
systemctl disable kubelet.service
systemctl stop kubelet.service
if [ -d "$R/var/lib/etcd/member" ] && [ ! -e "$STATE/etcd-before-$AIRSEED_CHANGE" ]; then
    say "etcd's data as they are go to $STATE/etcd-before-$AIRSEED_CHANGE"
    (umask 077 && cp -a "$R/var/lib/etcd/member" "$STATE/etcd-before-$AIRSEED_CHANGE.new") || {
        rm -rf "$STATE/etcd-before-$AIRSEED_CHANGE.new"
        fail "etcd's data can't be put aside" "make room below $STATE"
    }
    mv "$STATE/etcd-before-$AIRSEED_CHANGE.new" "$STATE/etcd-before-$AIRSEED_CHANGE"
    sync
fi
clear_control_plane
[ "$AIRSEED_ROLE" = init ] || shed
