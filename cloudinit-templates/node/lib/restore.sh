#!/bin/bash
# A cluster from a snapshot of its etcd. Sourced.
# seed: none has it; the script of a change brings it

need snapshots init members

# Print whether FILE of the snapshots is what the change means.
snapshot_file() {
    local file=$SNAPSHOTS/$1 digest
    [ -s "$file" ] || fail "$file is not on this machine" "copy it here, as root: the change's README has the command"
    digest=$(sha256sum <"$file")
    [ "${digest%% *}" = "$2" ] || fail "$file is not the one that this change was made for" \
        "its sha256 is ${digest%% *}, and $2 is expected: copy it again"
}

# Look at the snapshot before anything is taken down for it. That it is whole was seen where its digest was taken.
examine_snapshot() {
    snapshot_file "$AIRSEED_SNAPSHOT" "$AIRSEED_SNAPSHOT_SUM"
    snapshot_file "${AIRSEED_SNAPSHOT%.db}.keys.tar" "$AIRSEED_SNAPSHOT_KEYS_SUM"
}

# See that what comes fits beside what is there: etcd's data as they are go to ASIDE, and the snapshot's are written
# and then put in place, each with a log of 64 MiB.
check_room_to_restore() {
    local aside=$1 member=$R/var/lib/etcd/member needed=0
    # what a power cut left
    rm -rf "$SNAPSHOTS/.restored" "$member.new" "$aside.new"
    [ ! -d "$member" ] || [ -e "$aside" ] || needed=$(du -s -m "$member" | cut -f 1)
    [ "$AIRSEED_ROLE" != init ] || needed=$((needed + 2 * $(room_for "$SNAPSHOTS/$AIRSEED_SNAPSHOT")))
    has_room "$STATE" "$needed" ||
        fail "$STATE has $FREE MiB free, and beginning again from a snapshot needs $needed MiB beside $KEPT MiB below which kubelet evicts pods" \
            "make room: $SNAPSHOTS has all snapshots that are kept" "$HOPELESS"
}

# Tell whether no other control plane of this cluster runs: two of them would write two histories.
peers_are_silent() {
    PEERS_SAY=$(peers_live)
    [ -z "$PEERS_SAY" ]
}

await_silence() {
    wait_until "the other control planes to stop: run their scripts, or power them off" "${AIRSEED_TURN_PATIENCE:-3600}" peers_are_silent ||
        fail "another control plane still runs: $(printf '%s' "$PEERS_SAY" | sed 's/^[a-z]* //' | tr '\n' ';')" \
            "run this change's script there, or power it off for good: what it writes would be lost, or would win"
}

# Put etcd's data in place: one new member, which knows of no other.
restore_data() {
    local scratch=$SNAPSHOTS/.restored data=$R/var/lib/etcd
    rm -rf "$scratch" "$data/member.new"
    etcd_file_tool snapshot restore "$SNAPSHOTS/$AIRSEED_SNAPSHOT" --data-dir "$scratch" --name "$AIRSEED_NODE" \
        --initial-cluster "$AIRSEED_NODE=$(our_peer_url)" --initial-advertise-peer-urls "$(our_peer_url)" \
        --initial-cluster-token "$AIRSEED_CHANGE" || fail "etcd's own program can't restore $AIRSEED_SNAPSHOT" "the lines above say why"
    (umask 077 && mkdir -p "$data")
    cp -a "$scratch/member" "$data/member.new"
    sync
    rm -rf "$data/member"
    mv "$data/member.new" "$data/member"
    rm -rf "$scratch"
    sync
}

# The keys that were kept beside it; certificates that others have signed would not fit them.
restore_keys() {
    local scratch=$SNAPSHOTS/.keys file
    rm -rf "$scratch"
    (umask 077 && mkdir -p "$scratch" && tar -xf "$SNAPSHOTS/${AIRSEED_SNAPSHOT%.db}.keys.tar" -C "$scratch" --no-same-owner)
    (cd "$scratch" && find . -type f) >"$scratch.list"
    while IFS= read -r file; do
        [ "$(sha256sum <"$scratch/$file")" = "$(sha256sum 2>/dev/null <"$PKI/$file")" ] || { remove_kubeadm_files pki && break; }
    done <"$scratch.list"
    while IFS= read -r file; do
        case $file in *.key) put "$PKI/${file#./}" 0600 ;; *) put "$PKI/${file#./}" 0644 ;; esac <"$scratch/$file"
    done <"$scratch.list"
    rm -rf "$scratch" "$scratch.list"
    # kubeadm takes what there is, and ends an init only with that of an init: a machine that joined has another
    grep -q "system:node:$AIRSEED_NODE\$" "$KUBERNETES/kubelet.conf" 2>/dev/null || rm -f "$KUBERNETES/kubelet.conf"
}
