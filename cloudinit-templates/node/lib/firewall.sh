#!/bin/bash
# What firewalld lets through to this node, where the site wants it to run. Sourced.

# Open what this node's role needs, and let its own pods in. To take firewalld in, and to load it again, forgets
# the rules of others: so this comes before any of them, and later adds to both its memories without loading.
open_ports() {
    local entry memory
    [ "$AIRSEED_FIREWALL" = ports ] || return 0
    has firewall-cmd || fail "firewalld is not installed, and machine.firewall says ports" \
        "add firewalld to machine.packages, or say off"
    systemctl enable firewalld.service
    systemctl start firewalld.service
    printf '%s\n' "$AIRSEED_FIREWALL_PORTS" "$AIRSEED_POD_SUBNETS" | put_noting firewall "$STATE/firewall" 0644
    is_changed firewall || return 0
    for memory in --permanent ''; do
        for entry in $AIRSEED_FIREWALL_PORTS; do
            case $entry in
            */*) firewall-cmd -q $memory --add-port="$entry" ;;
            *) firewall-cmd -q $memory --add-protocol="$entry" ;;
            esac || fail "firewalld does not open $entry" "firewall-cmd --permanent --list-all shows what it has"
        done
        for entry in $AIRSEED_POD_SUBNETS; do firewall-cmd -q $memory --zone=trusted --add-source="$entry" || true; done
    done
    settled firewall
}
