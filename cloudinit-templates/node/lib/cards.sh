#!/bin/bash
# The cards of a control plane that may carry the endpoint's address. Sourced.
# seed: by kube-vip keepalived

# Print the card with an address.
card_of() { ip -o addr show | awk -v wanted="$1" '{ split($4, part, "/"); if (part[1] == wanted) { print $2; exit } }'; }

# Set OWN_CARD to the card with this node's address, and CARD to the one that is to carry the endpoint's.
find_cards() {
    OWN_CARD=$(card_of "$AIRSEED_ADDRESS")
    [ -n "$OWN_CARD" ] || fail "no network card has the address $AIRSEED_ADDRESS" "see ip addr: is its card there, and up?"
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

# Print where another machine on CARD has ADDRESS. CentOS has nothing that asks so by IPv6; but its kernel asks for
# whoever gets a packet, unless that is this machine, which lets go of the address for that.
neighbour() {
    local address=$1
    if [[ $address != *:* ]]; then
        ! has arping || arping -D -c 2 -w 2 -I "$CARD" "$address" | sed -n 's/.*reply from.* \[\(.*\)\].*/\1/p' | head -n 1
        return
    fi
    ip address delete "$address/128" dev "$CARD" 2>/dev/null || true
    # what it remembers is of before
    ip neigh delete "$address" dev "$CARD" 2>/dev/null || true
    { echo >"/dev/udp/$address/9"; } 2>/dev/null || true
    sleep 2
    ip neigh show to "$address" dev "$CARD" | sed -n 's/.*lladdr \([^ ]*\).*/\1/p'
}

# Give up where another machine on CARD answers for ADDRESS: a stranger, or a control plane that this one does not
# hear. Who has the address already lets go of it by COMMAND.
claim() {
    local address=$1 rival
    shift
    for _ in 1 2; do
        rival=$(neighbour "$address") || true
        [ -n "$rival" ] || return 0
        # one of both may be about to give way
        sleep 2
    done
    if [ "$#" -gt 0 ]; then
        [[ $address == *:* ]] || [ -n "$(card_of "$address")" ] || return 0
        "$@"
    fi
    fail "another machine answers for the endpoint's address, too: $address is at $rival" \
        "if that is a control plane, it does not hear this one: see what the endpoint needs of the network; else take an address that is free"
}
