#!/bin/bash
# Stamps say that something is done. Sourced.
#
# A stamp is one line with a dot at its end, so that one which a power cut left empty or half
# written is none. Steps' stamps also carry a digest of what the
# step reads: other values, other work. Nothing turns an earlier airseed's stamps into these, since a
# live node ignores a new seed.

STAMPS=$WORK/stamps

# Stamp NAME; a KEY must be the same when it is read, SECONDS is how long it took.
stamp() {
    local seconds=${3:-0} mode=0644
    # a digest of what a step reads could be used to guess a password in it
    [ -z "${2:-}" ] || mode=0600
    printf 'airseed 1 %s %s %d %d .\n' "$1" "${2:--}" "$seconds" "$(now)" | put "$STAMPS/$1" "$mode"
}

# Tell whether NAME is stamped (with KEY).
is_stamped() {
    local line=''
    IFS= read -r line 2>/dev/null <"$STAMPS/$1" || [ -n "$line" ] || return 1
    [[ $line =~ ^airseed\ 1\ "$1"\ "${2:--}"\ [0-9]+\ [0-9]+\ \.$ ]]
}

unstamp() { rm -f "$STAMPS/$1"; }

# Stamp something that must be known after a power cut before anything that follows it happens, and
# not before what led to it.
stamp_durably() {
    sync
    stamp "$@"
    sync
}
