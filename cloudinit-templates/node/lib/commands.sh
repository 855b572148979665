#!/bin/bash
# The user's commands of cluster.yaml, which are one script. Sourced.

# Run FILE if there is one; KEY is where it stands in cluster.yaml. What it leaves running keeps its
# output open: nobody may wait for the end of that.
run_commands() {
    local file=$1 key=$2 output=$STATE/commands.out pid code=0
    [ -f "$file" ] || return 0
    (umask 077 && : >"$output")
    "$BASH" -e "$file" >"$output" 2>&1 8>&- &
    pid=$!
    tail -n +1 -s 0.2 -f --pid="$pid" "$output"
    wait "$pid" || code=$?
    rm -f "$output"
    [ "$code" -eq 0 ] || fail "the commands in $file failed" \
        "they are $key in cluster.yaml; fix them there, or in that file on this machine"
}
