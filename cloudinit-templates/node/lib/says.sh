#!/bin/bash
# What programs that do not come up said last: theirs is the cause, anything else is a guess. Sourced.

need json

# Give the line of standard input that tells most: with which a program ended, else its last error,
# else its last one.
telling_line() {
    local lines pattern line=''
    lines=$(tr -d '\000' | grep -v '^airseed: ') || true
    for pattern in '^F[0-9]{4} |level=fatal|^panic: |ailed to run [Kk]ubelet|command failed' \
        '^E[0-9]{4} |level=error|"level":"(error|fatal|panic)"|^[0-9: .-]+[CE] \||error|fatal' '[^[:space:]]'; do
        line=$(printf '%s\n' "$lines" | grep -E -- "$pattern" | tail -n 1 | cut -b 1-300 | clean) || true
        [ -z "$line" ] || break
    done
    printf '%s' "$line"
}

# Give what a unit said last since the machine started.
unit_says() {
    has journalctl || return 0
    journalctl --unit "$1.service" --boot --lines 3000 --output cat --no-pager 2>/dev/null | telling_line
}

# Print "ID NAME" of the containers of pods in a STATE (running or exited), the newest first.
pod_containers() {
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        docker ps --all --filter name=k8s_ --filter "status=$1" --format '{{.ID}} {{.Names}}' 2>/dev/null |
            awk '{ split($2, part, "_"); if (part[1] == "k8s" && part[2] != "POD") print $1, part[2] }'
    else
        crictl ps --all --state "$1" 2>/dev/null | awk 'NR > 1 { for (i = 2; i < NF; i++) if (tolower($i) == "exited" || tolower($i) == "running") print $1, $(i + 1) }'
    fi
}

# Give the last word of a container that ended and does not run again, of all or of one NAME.
container_says() {
    local wanted=${1:-} running id name line
    running=$(pod_containers running | awk '{ print $2 }')
    while read -r id name; do
        [ -z "$wanted" ] || [ "$name" = "$wanted" ] || continue
        [[ $'\n'$running$'\n' != *$'\n'"$name"$'\n'* ]] || continue
        if [ "$AIRSEED_RUNTIME" = docker ]; then
            line=$(docker logs --tail 40 "$id" 2>&1 | telling_line)
        else
            line=$(crictl logs --tail 40 "$id" 2>&1 | telling_line)
        fi
        [ -z "$line" ] || { printf '%s: %s' "$name" "$line" && return; }
    done < <(pod_containers exited)
}
