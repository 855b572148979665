#!/bin/bash
# Snapshots of etcd, each with the keys that its cluster can't do without. Sourced.
#
# NAME.db is what "etcdctl snapshot save" wrote; NAME.keys.tar has the authorities and the key that
# service accounts' tokens are signed by: etcd's data are of no use without that.

need role units room

SNAPSHOTS=$STATE/snapshots
readonly SNAPSHOT_KEYS='ca.crt ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key'

# Have the snapshots to oneself: the timer's run and a change use one folder, and one name of a container.
lock_snapshots() {
    mkdir -p "$STATE"
    exec 9>"$STATE/snapshot.lock"
    flock -w 600 9 || fail "another snapshot has been under way for ten minutes" "journalctl -t airseed-snapshot tells of the timer's"
}

# Know the image of this node's etcd: by its manifest, or as kubeadm would take it.
know_etcd_image() {
    [ -z "$ETCD_IMAGE" ] || return 0
    ETCD_IMAGE=$(sed -n 's/^[- ]*image: *//p' "$MANIFESTS/etcd.yaml" 2>/dev/null | tr -d "\"'" | head -n 1) || ETCD_IMAGE=''
    [ -n "$ETCD_IMAGE" ] || ETCD_IMAGE=$(kubeadm config images list --config "$SEED" 2>/dev/null | grep '/etcd:' | head -n 1) || ETCD_IMAGE=''
    [ -n "$ETCD_IMAGE" ] || fail "nothing on this node names an image of etcd" "is this a control plane? $MANIFESTS/etcd.yaml is not there"
}
ETCD_IMAGE=''

# Run a TOOL of etcd's image in a container of its own, which sees the snapshots and the certificates
# where they are: etcd itself may not run, and this machine need not have etcdctl.
etcd_tool() {
    local tool=$1 limit=${AIRSEED_SNAPSHOT_PATIENCE:-600}
    shift
    know_etcd_image
    mkdir -p "$SNAPSHOTS" "$PKI/etcd"
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker rm -f airseed-etcd-tool >/dev/null 2>&1 || true
        timeout --foreground "$limit" docker run --rm --name airseed-etcd-tool --network host --security-opt label=disable \
            --volume "$PKI/etcd:$PKI/etcd:ro" --volume "$SNAPSHOTS:$SNAPSHOTS" --entrypoint "/usr/local/bin/$tool" "$ETCD_IMAGE" "$@" </dev/null
    else
        ctr --namespace k8s.io containers rm airseed-etcd-tool >/dev/null 2>&1 || true
        timeout --foreground "$limit" ctr --namespace k8s.io run --rm --net-host --mount "type=bind,src=$PKI/etcd,dst=$PKI/etcd,options=rbind:ro" \
            --mount "type=bind,src=$SNAPSHOTS,dst=$SNAPSHOTS,options=rbind:rw" "$ETCD_IMAGE" airseed-etcd-tool "/usr/local/bin/$tool" "$@" </dev/null
    fi
}

# etcdctl of etcd 3.6 has no more to do with files.
etcd_file_tool() {
    local tool=etcdctl
    know_etcd_image
    case $ETCD_IMAGE in *:3.[0-5].* | *:v3.[0-5].*) ;; *) tool=etcdutl ;; esac
    etcd_tool "$tool" "$@"
}

# Ask the etcd of this node.
etcdctl() {
    etcd_tool etcdctl --endpoints "https://127.0.0.1:${AIRSEED_ETCD_PORT:-2379}" --cacert "$PKI/etcd/ca.crt" \
        --cert "$PKI/etcd/healthcheck-client.crt" --key "$PKI/etcd/healthcheck-client.key" "$@"
}

# Tell whether a snapshot is as etcd wrote it: the last 32 bytes are the digest of all before them.
is_snapshot() {
    local size digest
    size=$(stat -c %s "$1" 2>/dev/null) || return 1
    [ "$size" -gt 32 ] && [ $((size % 512)) -eq 32 ] || return 1
    digest=$(head -c $((size - 32)) "$1" | sha256sum)
    [ "$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')" = "${digest%% *}" ]
}

# Print a snapshot's revision and its number of keys, as etcd's own program reads them; "" when it can't.
snapshot_status() {
    etcd_file_tool snapshot status "$1" --write-out json 2>/dev/null | tr -d ' \n' |
        sed -n 's/.*"revision":\([0-9]*\).*"totalKey":\([0-9]*\).*/\1 \2/p'
}

# Print how many MiB etcd's data in FILE take with a log of etcd's beside them.
room_for() { printf '%d' $(($(stat -c %s "$1" 2>/dev/null || echo 0) / 1048576 + 64)); }

# Take a snapshot, whose name says why (REASON, or nothing); SNAPSHOT is its path. It has its name when all of
# it is on disk and was read back.
take_snapshot() {
    local reason=${1:-} fresh=$SNAPSHOTS/.new name key revision keys said needed
    know_etcd_image
    rm -rf "$fresh"
    (umask 077 && mkdir -p "$fresh")
    chmod 0700 "$SNAPSHOTS"
    needed=$(room_for "$R/var/lib/etcd/member/snap/db")
    has_room "$SNAPSHOTS" "$needed" || fail "$SNAPSHOTS has $FREE MiB free, and a snapshot of etcd needs $needed MiB beside $KEPT MiB below which kubelet evicts pods" \
        "make room, or have fewer kept (machine.snapshots.keep): airseed-snapshot list"
    etcdctl snapshot save "$fresh/db" >"$fresh/said" 2>&1 || {
        said=$(tail -n 1 "$fresh/said" | cut -b 1-300)
        fail "etcd gives no snapshot: $said" "does etcd run here, and has it a quorum? crictl ps or docker ps -a, and its log"
    }
    sync
    is_snapshot "$fresh/db" || fail "the snapshot that etcd gave is not whole" "is the disk full or broken? df $SNAPSHOTS; dmesg"
    read -r revision keys < <(snapshot_status "$fresh/db") || true
    [ -n "${keys:-}" ] || fail "etcdctl can't read the snapshot that etcd gave" "is the disk full or broken? df $SNAPSHOTS; dmesg"
    for key in $SNAPSHOT_KEYS; do [ ! -f "$PKI/$key" ] || printf '%s\n' "$key"; done >"$fresh/keys"
    (umask 077 && tar -cf "$fresh/keys.tar" -C "$PKI" -T "$fresh/keys")
    name=$SNAPSHOTS/$(date -u +%Y%m%dT%H%M%SZ)-$AIRSEED_NODE${reason:+-$reason}
    put "$name.keys.tar" 0600 <"$fresh/keys.tar"
    chmod 0600 "$fresh/db"
    mv "$fresh/db" "$name.db"
    rm -rf "$fresh"
    sync
    SNAPSHOT=$name.db
    say "snapshot $SNAPSHOT: revision $revision, $keys keys, $(stat -c %s "$SNAPSHOT") bytes"
}

# Print the snapshots that are here, the newest last. Those of a clock that was ahead were taken before now, too:
# as the newest they would push out every one that is taken.
list_snapshots() {
    find "$SNAPSHOTS" -maxdepth 1 -name '[0-9]*.db' 2>/dev/null | sort |
        awk -v now="$(date -u +%Y%m%dT%H%M%SZ)" -v place="$((${#SNAPSHOTS} + 2))" '
            substr($0, place, length(now)) > now { print; next }
            { kept[++count] = $0 }
            END { for (number = 1; number <= count; number++) print kept[number] }'
}

# Keep the newest COUNT. Keys without a snapshot are what a power cut left.
prune_snapshots() {
    local file
    list_snapshots | head -n "-$1" | while IFS= read -r file; do rm -f "$file" "${file%.db}.keys.tar"; done
    find "$SNAPSHOTS" -maxdepth 1 -name '*.keys.tar' 2>/dev/null | while IFS= read -r file; do
        [ -e "${file%.keys.tar}.db" ] || rm -f "$file"
    done
}

# Copy a snapshot with its keys off this machine: into a folder (a share that is mounted), or to a web server
# that takes PUT. What that wants besides, such as a login, stands in /etc/airseed/snapshots.curl.
send_snapshot() {
    local file to=$2 target more=''
    [ ! -s "$ETC/snapshots.curl" ] || more=$ETC/snapshots.curl
    case $to in
    http*://*@*) fail "a password in a URL would be seen by everybody" "put it into $ETC/snapshots.curl: user = \"NAME:PASSWORD\"" ;;
    esac
    for file in "$1" "${1%.db}.keys.tar"; do
        target=${to%/}/${file##*/}
        case $to in
        http://* | https://*)
            printf 'url = "%s"\nupload-file = "%s"\n' "$target" "$file" |
                curl -q -s -S -f --connect-timeout 10 --max-time 3600 ${more:+-K "$more"} -K - >/dev/null ||
                fail "$target can't be written" "does that server take PUT? what curl needs besides stands in $ETC/snapshots.curl"
            ;;
        *)
            [ -d "$to" ] || fail "$to is no folder on this machine" "mount what it is to be on"
            put "$target" 0600 <"$file" || fail "$target can't be written" "is there room, and may root write there?"
            [ "$(sha256sum <"$file")" = "$(sha256sum <"$target")" ] || fail "$target is not what was written to it" "is that disk or share all right?"
            ;;
        esac
        say "copied to $target"
    done
}

# Have systemd take one every so often, where cluster.yaml says so, else no more.
time_snapshots() {
    local unit=$R/etc/systemd/system/airseed-snapshot
    if ! is_control_plane || [ -z "$AIRSEED_SNAPSHOTS_EVERY" ]; then
        [ ! -e "$unit.timer" ] || { systemctl disable airseed-snapshot.timer && systemctl stop airseed-snapshot.timer && rm -f "$unit".*; }
        return 0
    fi
    put "$unit.timer" 0644 <<UNIT
[Unit]
Description=airseed: a snapshot of etcd every so often

[Timer]
OnBootSec=10min
OnUnitInactiveSec=$AIRSEED_SNAPSHOTS_EVERY
AccuracySec=1min
Unit=airseed-snapshot.service

[Install]
WantedBy=timers.target
UNIT
    put_units airseed-snapshot.service
    systemctl enable airseed-snapshot.timer
    systemctl restart airseed-snapshot.timer
}
