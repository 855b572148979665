#!/bin/bash
# What firewalld lets through to this node, where the site wants it to run. Sourced.

# Open what this node's role needs, and let its own pods in. To take it in firewalld forgets the rules of
# others, so this comes before any of them.
open_ports() {
    local entry
    [ "$AIRSEED_FIREWALL" = ports ] || return 0
    has firewall-cmd || fail "firewalld is not installed, and machine.firewall says ports" \
        "add firewalld to machine.packages, or say off"
    systemctl enable firewalld.service
    systemctl start firewalld.service
    printf '%s\n' "$AIRSEED_FIREWALL_PORTS" "$AIRSEED_POD_SUBNETS" | put_noting firewall "$STATE/firewall" 0644
    is_changed firewall || return 0
    for entry in $AIRSEED_FIREWALL_PORTS; do
        case $entry in
        */*) firewall-cmd -q --permanent --add-port="$entry" ;;
        *) firewall-cmd -q --permanent --add-protocol="$entry" ;;
        esac || fail "firewalld does not open $entry" "firewall-cmd --permanent --list-all shows what it has"
    done
    for entry in $AIRSEED_POD_SUBNETS; do firewall-cmd -q --permanent --zone=trusted --add-source="$entry" || true; done
    firewall-cmd -q --reload
    settled firewall
}
