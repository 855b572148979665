#!/bin/bash
# The cards of a control plane that may carry the endpoint's address. Sourced.
# seed: by kube-vip keepalived

# Print the card with an address.
card_of() { ip -o addr show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'; }

# Set OWN_CARD to the card with this node's address, and CARD to the one that is to carry the endpoint's.
find_cards() {
    OWN_CARD=$(card_of "$AIRSEED_ADDRESS")
    CARD=${AIRSEED_ENDPOINT_CARD:-$OWN_CARD}
    ip link show dev "$CARD" >/dev/null 2>&1 || fail "this machine has no card $CARD for the endpoint's address" \
        "ip link shows those that it has; say another as endpoint.interface"
}

# Print the endpoint's address with the length of a network that has nothing else in it.
carried() {
    local host
    host=$(host_of "$AIRSEED_ENDPOINT")
    case $host in *:*) printf '%s/128' "$host" ;; *) printf '%s/32' "$host" ;; esac
}

# Give up where another machine on CARD answers for ADDRESS: a stranger, or a control plane that this one does not
# hear. Who has the address already lets go of it by COMMAND. CentOS has nothing that would ask so by IPv6.
claim() {
    local address=$1 rival
    shift
    [[ $address != *:* ]] && has arping || return 0
    for _ in 1 2; do
        rival=$(arping -D -c 2 -w 2 -I "$CARD" "$address" | sed -n 's/.*reply from.* \[\(.*\)\].*/\1/p' | head -n 1) || true
        [ -n "$rival" ] || return 0
        # one of both may be about to give way
        sleep 2
    done
    if [ "$#" -gt 0 ]; then
        [ -n "$(card_of "$address")" ] || return 0
        "$@"
    fi
    fail "another machine answers for the endpoint's address, too: $address is at $rival" \
        "if that is a control plane, it does not hear this one: see what the endpoint needs of the network; else take an address that is free"
}
