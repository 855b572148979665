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
