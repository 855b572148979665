#!/bin/bash
# How it stands: /var/lib/airseed/result.json for programs, status.txt beside it for people. Sourced.
# shellcheck disable=SC2153 # STATE is a folder, state a word
#
# The runner exports AIRSEED_NOW_* for its steps, so that a step which waits can say so itself.

need json plan stamps

# Record STATE (running, waiting, failed or done) with MESSAGE, HINT and what it is WAITING for.
report() {
    # who amends it must not write back what was there before
    mkdir -p "$STATE"
    (flock 7 && write_report "$@") 7>"$STATE/result.lock"
    phone_home
}

# Write a member of a JSON object, with a text for its value. Every fork counts: each step does this twice or more.
member() {
    printf '"%s": ' "$1"
    json_string "$2"
    printf ',\n'
}

write_report() {
    local state=$1 message=${2:-} hint=${3:-} waiting=${4:-} stamp since
    stamp=$(now)
    since=${AIRSEED_NOW_SINCE:-$stamp}
    [ -z "$waiting" ] || since=$WAITING_SINCE
    {
        printf '{\n"format": 1,\n'
        member cluster "${AIRSEED_CLUSTER:-}"
        member node "${AIRSEED_NODE:-}"
        member role "${AIRSEED_ROLE:-}"
        member generation "${AIRSEED_GENERATION:-}"
        printf '"plan": "%s",\n' "$AIRSEED_NOW_PLAN"
        printf '"change": "%s",\n"stage": "%s",\n"stages": "%s",\n' "${AIRSEED_CHANGE:-}" "${AIRSEED_STAGE:-}" "${AIRSEED_STAGES:-}"
        printf '"kubernetes": "%s",\n"runtime": "%s",\n"lock": "%s",\n' "${AIRSEED_KUBERNETES:-}" "${AIRSEED_RUNTIME:-}" "${AIRSEED_SUMS:-}"
        printf '"state": "%s",\n"step": "%s",\n' "$state" "${AIRSEED_NOW_STEP:-}"
        printf '"attempt": %d,\n"exit_code": %d,\n' "${AIRSEED_NOW_ATTEMPT:-1}" "${RESULT_CODE:-0}"
        member message "$message"
        member hint "$hint"
        member waiting_for "$waiting"
        printf '"since": %d,\n' "$since"
        member last_said "${WAITING_SAID:-}"
        printf '"retry_in": %d,\n' "${RESULT_RETRY:-0}"
        trouble_json
        printf '"started": %d,\n"updated": %d,\n"steps": [' "${AIRSEED_NOW_STARTED:-$stamp}" "$stamp"
        finished_steps
        printf '],\n"waits": ['
        waits_json
        printf '],\n'
        # it asks openssl a dozen times
        [ "$state" != "done" ] || printf '"certificates": {%s},\n' "$(certificates_json)"
        printf '"lines": '
        json_lines "${RESULT_LINES:-/nonexistent}" 20
        printf '\n}\n'
    } | put "$STATE/result.json" 0644 quick || true
    {
        printf 'state: %s\nstep: %s (attempt %s)\n' "$state" "${AIRSEED_NOW_STEP:-}" "${AIRSEED_NOW_ATTEMPT:-1}"
        [ -z "$waiting" ] || printf 'waiting for %s\n' "$waiting"
        printf 'since: %s\n' "$(date -u -d "@$since" +%Y-%m-%dT%H:%M:%SZ)"
        [ -z "$message" ] || printf 'error: %s\n' "$message"
        [ -z "$hint" ] || printf 'hint: %s\n' "$hint"
        trouble_text
    } | clean | put "$STATE/status.txt" 0644 quick || true
}

# Replace the value of KEY in what was recorded by the JSON text VALUE.
amend() {
    [ -f "$STATE/result.json" ] || return 0
    (
        flock 7
        KEY="\"$1\": " VALUE=$2 awk '
            index($0, ENVIRON["KEY"]) == 1 { print ENVIRON["KEY"] ENVIRON["VALUE"] ","; next }
            { print }' "$STATE/result.json" | put "$STATE/result.json" 0644 quick
    ) 7>"$STATE/result.lock" || true
}

# Record what is wrong beside the work of a plan: MESSAGE and HINT, or nothing. It comes and goes
# whatever the plan is at, also when that is done for ever.
trouble() {
    local file=$STATE/trouble
    [ "$(cat "$file" 2>/dev/null)" != "${1:+$1$'\n'$2}" ] || return 0
    if [ -n "$1" ]; then printf '%s\n%s\n' "${1//$'\n'/ }" "${2//$'\n'/ }" | put "$file" 0644; else rm -f "$file"; fi
    say "${1:-the trouble is over}"
    amend trouble "$(json_string "$1")"
    amend trouble_hint "$(json_string "$2")"
    { grep -v '^trouble: ' "$STATE/status.txt" && trouble_text | clean; } | put "$STATE/status.txt" 0644 || true
    phone_home
}

trouble_json() {
    local message='' hint=''
    [ ! -s "$STATE/trouble" ] || { IFS= read -r message && IFS= read -r hint; } <"$STATE/trouble" || true
    member trouble "$message"
    member trouble_hint "$hint"
}

trouble_text() { [ ! -s "$STATE/trouble" ] || sed 's/^/trouble: /' "$STATE/trouble"; }

# Send result.json to whom the seed names, with the cluster's token for that, which stays out of
# arguments (EL7's curl reads no header from a file of its own). Nobody waits for it, and nothing
# depends on it.
phone_home() {
    [ -n "${AIRSEED_PHONE_HOME:-}" ] || return 0
    curl -q -s --max-time 5 --noproxy '*' --config "$ETC/phone-home.curl" -X POST -H 'Content-Type: application/json' \
        -o /dev/null --data-binary "@$STATE/result.json" "$AIRSEED_PHONE_HOME" </dev/null >/dev/null 2>&1 8>&- 9>&- &
}

# Say what is waited for; the same thing again costs nothing. What it says meanwhile is the runner's to
# look for.
waiting() {
    [ "${WAITING:-}" != "$1" ] || return 0
    waited
    WAITING=$1
    WAITING_SAID=''
    WAITING_SINCE=$(now)
    say "waiting for $1"
    # a step's words go to its log; the runner keeps the console open for this one line
    { printf 'airseed: waiting for %s\n' "$1" >&8; } 2>/dev/null || true
    report waiting '' '' "$1"
}

# Say what a program of ours is at for longer: it is no wait for others, and the console need not know.
# An action has no part in what a plan says.
working() {
    [ -n "${AIRSEED_NOW_STEP:-}" ] || return 0
    WAITING_SINCE=$(now)
    report running '' '' "$1"
}

# The wait is over.
waited() {
    [ -n "${WAITING:-}" ] || return 0
    printf '%d\t%s\n' "$(age "$WAITING_SINCE")" "$WAITING" >>"$WAITS"
    WAITING=''
    report running
}

# Give when each certificate of this node ends, in seconds since 1970, as members of a JSON object.
certificates_json() {
    local file ending comma=''
    for file in "$PKI"/*.crt "$PKI"/etcd/*.crt "$KUBERNETES"/*.conf "$R/var/lib/kubelet/pki/kubelet-client-current.pem"; do
        [ -s "$file" ] || continue
        ending=$(certificate_of "$file" | openssl x509 -noout -enddate 2>/dev/null) || continue
        printf '%s"%s": %d' "$comma" "${file#"$R"}" "$(date -d "${ending#*=}" +%s)"
        comma=', '
    done
}

# Print the certificate in FILE; a kubeconfig has it inside, kubelet's names that of another file.
certificate_of() {
    case $1 in
    *.conf) sed -n 's/^ *client-certificate-data: *//p' "$1" | base64 -d 2>/dev/null || true ;;
    *) cat "$1" ;;
    esac
}

# Give the waits so far, each reason once, as members of a JSON list.
waits_json() {
    [ -f "$WAITS" ] || return 0
    clean <"$WAITS" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk -F '\t' '
        NF == 2 && $1 ~ /^[0-9]+$/ { if (!($2 in total)) order[++count] = $2; total[$2] += $1 }
        END {
            for (number = 1; number <= count; number++)
                printf "%s{\"for\": \"%s\", \"seconds\": %d}", (number > 1 ? ", " : ""), order[number], total[order[number]]
        }'
}
