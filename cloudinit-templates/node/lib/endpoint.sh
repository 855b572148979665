#!/bin/bash
# What keeps the cluster's endpoint up on this node: one of kube-vip.sh, keepalived.sh and local-proxy.sh. Sourced.

need role

# shellcheck disable=SC2034 # for those three
OURS='# laid down by airseed'

# Make what this node needs for the endpoint; nothing starts again that is as it was.
lay_endpoint() {
    [ -n "$AIRSEED_ENDPOINT_BY" ] || return 0
    need "$AIRSEED_ENDPOINT_BY"
    "lay_${AIRSEED_ENDPOINT_BY//-/_}"
}
