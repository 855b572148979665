#!/bin/bash
# Look whether this machine can become the node, before anything on it is changed.
# reads: ADDRESS ADDRESSES ON_LINK ROLE RUNTIME NTP
# uses: NEED_MIB KEEP_FREE KUBEADM_FILES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role tls time owners units room
load_environment

ASKED=''

check_root() {
    [ "$(id -u)" -eq 0 ] || fail "this runs as $(id -un)" "it has to run as root"
}

# An image that was cloned with its machine-id makes nodes that look alike.
check_machine_id() {
    local file=$R/etc/machine-id id=''
    [ ! -f "$file" ] || id=$(tr -d '\000\n' <"$file")
    [[ $id =~ ^[0-9a-f]{32}$ ]] || { rm -f "$file" && systemd-machine-id-setup; }
    id=''
    [ ! -f "$file" ] || id=$(tr -d '\000\n' <"$file")
    [[ $id =~ ^[0-9a-f]{32}$ ]] ||
        fail "$file holds no machine-id" "run systemd-machine-id-setup and look at what it says"
    if [ -f "$LIBEXEC/image-machine-id" ] && [ "$id" = "$(cat "$LIBEXEC/image-machine-id")" ]; then
        rm -f "$file"
        systemd-machine-id-setup
        say "the machine-id was that of the image; this machine has one of its own now"
    fi
}

# Another machine with our MAC or our address shows in what the neighbours answered.
check_card() {
    local card mac other
    [ -n "$AIRSEED_ADDRESS" ] || fail "this machine has no address yet" \
        "give it one by DHCP, or write address and interface of the node into cluster.yaml"
    card=$(ip -o addr show | awk -v wanted="$AIRSEED_ADDRESS" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }')
    [ -n "$card" ] || fail "no network card has the address $AIRSEED_ADDRESS" \
        "the seed's network or this machine's cards differ from cluster.yaml: see ip addr; after a power cut in the first seconds: cloud-init clean, and start again"
    mac=$(cat "$R/sys/class/net/$card/address" 2>/dev/null) || return 0
    other=$(ip neigh show dev "$card" | awk -v mac="$mac" '{ for (i = 2; i < NF; i++) if ($i == "lladdr" && $(i + 1) == mac) print $1 }' | head -n 1)
    [ -z "$other" ] || fail "the machine at $other has the MAC address of this one, $mac" \
        "give each machine a MAC address of its own"
    # by IPv6 the kernel has asked
    ! ip -o addr show dev "$card" | grep -F " $AIRSEED_ADDRESS/" | grep -q dadfailed || fail_twin
    # this takes a second, in which the rest goes on
    if has arping && [[ $AIRSEED_ADDRESS != *:* ]]; then
        arping -q -D -c 1 -w 1 -I "$card" "$AIRSEED_ADDRESS" &
        ASKED=$!
    fi
}

check_address() {
    [ -z "$ASKED" ] || wait "$ASKED" || fail_twin
}

fail_twin() { fail "another machine answers for the address $AIRSEED_ADDRESS" "give each machine an address of its own"; }

# overlay2 can't work on every file system.
check_disk() {
    local folder kind
    [ -d "$R/var/lib" ] || mkdir -p "$R/var/lib"
    for folder in "$R/var/lib" "$R/var/lib/docker" "$R/var/lib/containerd"; do
        [ -d "$folder" ] || continue
        case $folder in *docker) [ "$AIRSEED_RUNTIME" = docker ] || continue ;; *containerd) [ "$AIRSEED_RUNTIME" = containerd ] || continue ;; esac
        kind=$(stat -f -c %T "$folder")
        if [ "$kind" = xfs ] && has xfs_info && xfs_info "$(df -P "$folder" | awk 'NR == 2 { print $6 }')" | grep -q 'ftype=0'; then
            fail "$folder is on an XFS file system without ftype=1" "overlay2 can't work on it: make it with mkfs.xfs -n ftype=1"
        fi
    done
}

# A port that somebody else listens on. What this cluster's own parts hold is no fault.
check_ports() {
    local port ports='10250' taken
    [ ! -e "$KUBERNETES/kubelet.conf" ] && [ ! -d "$R/var/lib/etcd/member" ] || return 0
    [ -z "$(kubeadm_files manifests)" ] || return 0
    ! is_control_plane || ports='6443 2379 2380 10250 10257 10259'
    for port in $ports; do
        taken=$(ss -ltnp | awk -v port="$port" 'NR > 1 { n = split($4, part, ":"); if (part[n] == port) { print $NF; exit } }')
        [ -z "$taken" ] || [[ $taken == *kubelet* ]] || fail "port $port is taken: $taken" \
            "stop that program, or take it off this machine; ss -ltnp shows it"
    done
}

# A clock before the authority's first day refuses every certificate.
check_clock() {
    local since
    [ -s "$ETC/pki/ca.crt" ] || return 0
    is_certificate "$ETC/pki/ca.crt" || fail "$ETC/pki/ca.crt is not a certificate" "render the seed again"
    since=$(openssl x509 -noout -startdate -in "$ETC/pki/ca.crt")
    since=$(date -d "${since#*=}" +%s)
    # whom chronyd asks may be what is wrong with it
    clock_is_after "$since" || ask_chrony
    wait_until "the clock to be set (it is before the cluster's authority was made)" "${AIRSEED_CLOCK_PATIENCE:-120}" \
        clock_is_after "$since" || fail "this machine's clock says $(date -u), which is before the cluster's authority was made" \
        "set the clock, or give NTP servers in cluster.yaml"
}

clock_is_after() { [ "$(now)" -ge "$1" ]; }

check_seed() {
    [ -s "$SEED" ] || [ -e "$KUBERNETES/kubelet.conf" ] || fail "$SEED is missing or empty" \
        "cloud-init did not write the seed's files: see /var/log/cloud-init.log"
}

check_root
check_seed
check_machine_id
check_card
check_disk
check_room
check_ports
check_clock
check_address
"$LIBEXEC/actions/network"
put_units airseed-network.service
