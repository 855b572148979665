#!/bin/bash
# What part this node plays. Sourced.

is_control_plane() { [ "$AIRSEED_ROLE" != worker ]; }

# Tell whether this control plane has stopped itself in its turn. It may be who answers at the endpoint, so
# it goes on without asking; nobody else has its turn meanwhile.
is_away() { is_control_plane && is_stamped away; }
