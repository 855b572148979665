#!/bin/bash
# Set the operating system up as kubelet wants it.
# reads: POD_SUBNETS SELINUX FIREWALL

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values
load_environment

swap_off() {
    local fstab=$R/etc/fstab unit
    [ "$(wc -l <"$R/proc/swaps")" -le 1 ] || swapoff -a
    if grep -qsE '^[^#][^ 	]*[ 	]+[^ 	]+[ 	]+swap[ 	]' "$fstab"; then
        sed -E 's/^([^#][^ 	]*[ 	]+[^ 	]+[ 	]+swap[ 	].*)$/# off for kubelet: \1/' "$fstab" | put "$fstab" 0644
    fi
    # systemd turns on swap partitions that no fstab names
    for unit in $(systemctl list-units --all --no-legend --type=swap 2>/dev/null | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /\.swap$/) print $i }'); do
        systemctl mask "$unit"
    done
}

set_selinux() {
    local file=$R/etc/selinux/config wanted=${AIRSEED_SELINUX:-permissive} now=Disabled
    ! has getenforce || now=$(getenforce)
    case $wanted/$now in
    permissive/Disabled | disabled/Disabled) return 0 ;;
    enforcing/Disabled)
        fail "SELinux is disabled on this machine, and machine.selinux says enforcing" \
            "take an image that has it on: it has to label all files when it is turned on; or say permissive"
        ;;
    enforcing/*) setenforce 1 ;;
    # it is off at the next start
    */Enforcing) setenforce 0 || true ;;
    esac
    ! grep -qs '^SELINUX=' "$file" || sed "s/^SELINUX=.*/SELINUX=$wanted/" "$file" | put "$file" 0644
}

# Its ports are opened when the packages are there, which may bring it.
firewall_off() {
    [ "$AIRSEED_FIREWALL" != ports ] || return 0
    # it may not be installed
    systemctl disable firewalld.service 2>/dev/null || true
    systemctl stop firewalld.service 2>/dev/null || true
}

load_modules() {
    local module tracking=nf_conntrack
    # one name until kernel 4.18
    case $(uname -r) in 3.* | 4.[0-9].* | 4.1[0-8].*) tracking=nf_conntrack_ipv4 ;; esac
    printf '%s\n' overlay br_netfilter ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh "$tracking" | put "$R/etc/modules-load.d/airseed.conf" 0644
    for module in overlay br_netfilter; do
        modprobe "$module" || fail "the kernel module $module can't be loaded" "pods have no network without it: modprobe $module"
    done
    for module in ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh "$tracking"; do
        modprobe "$module" || say "warning: no kernel module $module; only kube-proxy's ipvs mode needs it"
    done
}

# After the modules: two of the keys are br_netfilter's.
set_kernel() {
    local file=$R/etc/sysctl.d/90-airseed.conf
    {
        printf 'net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n'
        printf 'net.ipv4.ip_forward = 1\n'
        [[ $AIRSEED_POD_SUBNETS != *:* ]] || printf 'net.ipv6.conf.all.forwarding = 1\n'
        # or containers that are gone keep mounts busy on kernel 3.10
        [ ! -e "$R/proc/sys/fs/may_detach_mounts" ] || printf 'fs.may_detach_mounts = 1\n'
    } | put "$file" 0644
    sysctl -q -p "$file"
}

# Calico's cards are Calico's.
leave_cards_alone() {
    [ -d "$R/etc/NetworkManager" ] || return 0
    printf '[keyfile]\nunmanaged-devices=interface-name:cali*;interface-name:tunl*;interface-name:vxlan.calico\n' |
        put_noting cards "$R/etc/NetworkManager/conf.d/airseed.conf" 0644
    if is_changed cards; then
        systemctl reload NetworkManager.service 2>/dev/null || true
        settled cards
    fi
}

swap_off
set_selinux
firewall_off
load_modules
set_kernel
leave_cards_alone
