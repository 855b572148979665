#!/bin/bash
# What to do about the usual failures, by what programs say. Sourced.

need json

# Give the line of a log that tells most, else its last one; ours are told apart already.
last_words() {
    local log=$1 code=$2 ours=$3 pattern line=''
    if [ -f "$log" ]; then
        for pattern in '\[ERROR ' 'error|failed|fatal|denied|refused|cannot|no such' '[^[:space:]]'; do
            line=$(grep -vE '^(hint: |[[:space:]]*\[WARNING |\[preflight\] (If you know|Some fatal)|To see the stack trace)' "$log" |
                grep -vxF "error: $ours" | grep -iE -- "$pattern" | tail -n 1 | cut -b 1-300 | clean) || true
            [ -z "$line" ] || break
        done
    fi
    line=${line#"${line%%[![:space:]]*}"}
    printf '%s' "${line:-the step ended with exit code $code and said nothing}"
}

# Give a hint for a log's failure, or nothing: the first whose pattern the last lines fit.
hint_for() {
    local pattern hint words
    [ -f "$1" ] || return 0
    words=$(tail -n 60 "$1" | grep -v '\[WARNING ') || return 0
    while IFS=$'\t' read -r pattern hint; do
        if [ "$(printf '%s\n' "$words" | grep -ciE -- "$pattern")" != 0 ]; then
            printf '%s' "$hint"
            return 0
        fi
    # a here-document would want room on the disk
    done <"$LIBEXEC/lib/hints.tsv"
}
