#!/bin/bash
# What part this node plays. Sourced.

is_control_plane() { [ "$AIRSEED_ROLE" != worker ]; }
