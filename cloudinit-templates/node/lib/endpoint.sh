#!/bin/bash
# What keeps the cluster's endpoint up on this node: one of kube-vip.sh, keepalived.sh and local-proxy.sh, each
# with lay_NAME, which makes what the values want, and drop_NAME, which takes that away. Sourced.

need role

OURS='# laid down by airseed'

# Make what this node needs for the endpoint; nothing starts again that is as it was.
lay_endpoint() {
    [ -n "$AIRSEED_ENDPOINT_BY" ] || return 0
    need "$AIRSEED_ENDPOINT_BY"
    "lay_${AIRSEED_ENDPOINT_BY//-/_}"
}

# Take away what keeps an endpoint up here and is not what the values want, in a change, which brings all three.
take_endpoint_away() {
    local by
    for by in kube-vip keepalived local-proxy; do
        if [ "$by" != "$AIRSEED_ENDPOINT_BY" ]; then
            need "$by"
            "drop_${by//-/_}"
        fi
    done
}

is_ours() { [ -f "$1" ] && [ "$(head -n 1 "$1")" = "$OURS" ]; }
