#!/bin/bash
# Stamps say that something is done. Sourced.
#
# A stamp is one line with a dot at its end, so that one which a power cut left empty or half
# written is none. Steps' stamps also carry a digest of node.env: other values, other work.

STAMPS=$STATE/stamps

environment_digest() {
    local digest
    digest=$(sha256sum <"$ETC/node.env")
    printf '%s' "${digest%% *}"
}

# Stamp NAME; a KEY must be the same when it is read, SECONDS is how long it took.
stamp() {
    local seconds=${3:-0}
    # somebody may have set the clock back
    [ "$seconds" -ge 0 ] || seconds=0
    printf 'airseed 1 %s %s %d %d .\n' "$1" "${2:--}" "$seconds" "$(now)" | put "$STAMPS/$1" 0644
}

# Tell whether NAME is stamped (with KEY).
is_stamped() {
    local line=''
    [ -f "$STAMPS/$1" ] || return 1
    line=$(tr -d '\000' <"$STAMPS/$1")
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

# Give the finished steps as members of a JSON list.
stamps_json() {
    local file line comma=''
    for file in "$LIBEXEC"/steps/[0-9]*-*.sh; do
        file=${file##*-}
        file=$STAMPS/step-${file%.sh}
        [ -f "$file" ] || continue
        line=$(tr -d '\000' <"$file")
        if [[ $line =~ ^airseed\ 1\ step-([a-z]+)\ [0-9a-f-]+\ ([0-9]+)\ ([0-9]+)\ \.$ ]]; then
            printf '%s{"name": "%s", "seconds": %d, "finished": %d}' "$comma" \
                "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
            comma=', '
        fi
    done
}
