#!/bin/bash
# What keeps the cluster's endpoint up on this node. Sourced.

# Make what this node needs for the endpoint from the values; nothing starts again that is as it was.
lay_endpoint() {
    case $AIRSEED_ENDPOINT_BY in
    '') return 0 ;;
    esac
}

# Take away what kept an endpoint up before.
take_endpoint_away() { return 0; }
