#!/bin/bash
# What every stand-in does first: note how it was called, and pull the plug when it is its turn.
# Sourced. CALLS is the log, CRASH the number of the call at which the power goes.

# shellcheck disable=SC2034 # for those who source it
R=$AIRSEED_ROOT
{ printf '%s' "${0##*/}"; [ "$#" -eq 0 ] || printf ' %q' "$@"; printf '\n'; } >>"$CALLS"
if [ -n "${CRASH:-}" ] && [ "$(wc -l <"$CALLS")" -ge "$CRASH" ]; then kill -9 0; fi
