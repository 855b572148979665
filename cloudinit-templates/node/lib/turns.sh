#!/bin/bash
# The order of machines in a change: by Leases, so that whoever is started when they like goes on when it
# is their turn. Sourced.
#
# "change" says which change is under way; its holder is that change's name and digest. "change-ID.NODE"
# has labels with that digest and the last stage that a node is done with. "change-turn" is the control
# planes', one after another in the order of PLANES; "change-turn-1" to AT_ONCE are the workers', once the
# control planes are done. A stage begins when all COUNT_BEFORE nodes of the one before are done with it.
# seed: none has it; the script of a change brings it
# shellcheck disable=SC2153,SC2034 # API_CODE and API_BODY are two things; LEASE_* are for lease.sh

need json api lease kubeadm certificates rights

TURNS=$STATE/turns
# there as long as this node has its turn and wants to keep it
TURN_KEPT=$WORK/turn
TURN_SECONDS=${AIRSEED_TURN_SECONDS:-300}

# Print as much of this change's digest as Leases have.
change_digest() { change_id 2 | cut -c 1-12; }

# Print the members of labels by which a Lease is one of this change.
change_labels() { printf '"change":"%s","digest":"%s"' "$AIRSEED_CHANGE" "$(change_digest)"; }

# Take back what nodes may do; the last thing is that they may ask at all. Fails without an answer. The first
# binding is what lets it be taken away itself: once it is gone nobody may ask for that again.
shut_turns() {
    local rules=/apis/rbac.authorization.k8s.io/v1
    api DELETE "$rules/clusterrolebindings/airseed:change"
    [[ $API_CODE == 200 || $API_CODE == 40[34] ]] || return 1
    LEASE_HOLDS="$AIRSEED_CHANGE $(change_digest)"
    lease_release change
    LEASE_HOLDS=''
    is_released || return 1
    api DELETE "$rules/namespaces/airseed/rolebindings/change-nodes"
    [[ $API_CODE == 200 || $API_CODE == 404 ]]
}

# Tell whether the last answer says that a Lease is not ours any more. One that has changed meanwhile may be.
is_released() { [[ $API_CODE == 200 || $API_CODE == 404 ]]; }

# Tell whether all were done while this node was away, which was about to say that it is.
is_over() { is_stamped released && ! read_turns && [ "$API_CODE" = 403 ]; }

our_leases() { printf '%s?labelSelector=change%%3D%s' "$LEASES" "$AIRSEED_CHANGE"; }

# Read all Leases of this change into the file TURNS, a line each: name, stage, holder, version, for which
# stage it is ready, and the change's digest; TURNS_READ is of when they were so. Fails without an answer.
read_turns() {
    api GET "$(our_leases)"
    # the last node of the change before may have taken it back this moment
    [ "$API_CODE" != 403 ] || is_stamped released || ! is_control_plane || grant_rights >/dev/null 2>&1 || true
    [ "$API_CODE" = 200 ] || return 1
    TURNS_READ=$(sed -n '1s/^[^[]*"resourceVersion":"\([0-9]*\)".*/\1/p' "$API_BODY")
    sed 's/{"metadata":{"name":"/\n&/g' "$API_BODY" | awk '
        function text(key,   found) {
            if (!match($0, "\"" key "\":\"[^\"]*\"")) return "-"
            found = substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 5)
            return found == "" ? "-" : found
        }
        /^{"metadata":{"name":"/ { print text("name"), text("stage"), text("holderIdentity"), text("resourceVersion"), text("ready"), text("digest") }' >"$TURNS"
}

# Tell whether NODE is done with STAGE, by what was read last.
node_is_done() { done_nodes "$2" | grep -xF -- "$1" >/dev/null; }

# Print "HOLDER VERSION" of a turn, dashes where nobody has it.
turn_of() { awk -v name="$1" '$1 == name { print $3, $4; found = 1 } END { if (!found) print "- -" }' "$TURNS"; }

# Print the nodes that are done with STAGE.
done_nodes() {
    awk -v prefix="change-$AIRSEED_CHANGE." -v stage="$1" 'index($1, prefix) == 1 && $2 != "-" && $2 >= stage + 0 { print substr($1, length(prefix) + 1) }' "$TURNS"
}

# Print the nodes that are ready for STAGE, or done with it.
ready_nodes() {
    awk -v prefix="change-$AIRSEED_CHANGE." -v stage="$1" 'index($1, prefix) == 1 && ($2 != "-" && $2 >= stage + 0 || $5 != "-" && $5 >= stage + 0) { print substr($1, length(prefix) + 1) }' "$TURNS"
}

# Print the nodes that live, take part, and are not ready for this stage. Fails without an answer.
late_nodes() {
    local nodes
    nodes=$(as_admin get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') || return 1
    printf '%s\n' "$nodes" | awk -v names=" $AIRSEED_NODES " '$2 == "True" && index(names, " " $1 " ") { print $1 }' | grep -vxF "$(ready_nodes "$AIRSEED_STAGE")" || true
}

# Wait until the API server lets this node take part.
await_turns() {
    local begun
    begun=$(clock)
    until read_turns; do
        [ ! -s "$KUBELET_CERTIFICATE" ] || ! ends_within "$KUBELET_CERTIFICATE" 0 ||
            fail "kubelet's certificate has ended, so the API server knows this node no more" "airseed changes --renew DAYS brings the node back; then run this change's script again" "$HOPELESS"
        [ ! -s "$KUBELET_CERTIFICATE" ] || ! begins_later "$KUBELET_CERTIFICATE" ||
            fail "this machine's clock says $(date -u), which is before kubelet's certificate counts, so it believes no API server" "set the clock, as by machine.ntp; then run this change's script again" "$HOPELESS"
        case $API_CODE in
        401 | 403) waiting "a control plane to let nodes take part in $AIRSEED_CHANGE: run its NODE.sh" ;;
        *) waiting "the API server at $AIRSEED_ENDPOINT to answer" ;;
        esac
        [ $(($(clock) - begun)) -lt "${AIRSEED_TURN_PATIENCE:-3600}" ] ||
            fail "the API server at $AIRSEED_ENDPOINT does not let this node take part in the change: HTTP $API_CODE, $API_TROUBLE" \
                "is the change started on ${AIRSEED_PLANES%% *}, and what does its airseed-status say?"
        sleep "${AIRSEED_LEASE_POLL:-2}"
    done
    waited
}

# Set AHEAD to who is not done with the stage before this one, "" for nobody.
look_back() {
    local before=$((AIRSEED_STAGE - 1)) ended
    AHEAD=''
    [ "$before" -gt 0 ] || return 0
    ended=$(done_nodes "$before")
    [ "$(printf '%s' "$ended" | grep -c .)" -ge "$AIRSEED_COUNT_BEFORE" ] ||
        AHEAD="all $AIRSEED_COUNT_BEFORE nodes to be done with stage $before (done: ${ended//$'\n'/ })"
}

# Set AHEAD to what comes before this node's turn in its stage, "" for nothing, PLANES_AHEAD to how many control planes
# that are, and TURNS_AHEAD to how many turns, as far as can be told: workers have no order among themselves. The first
# one's turn reaches to all: from then on kube-proxy is of the new release on every node.
look_ahead() {
    local name
    TOGETHER='' TURNS_AHEAD=0 PLANES_AHEAD=0
    look_back
    for name in $AIRSEED_PLANES; do
        [ "$name" != "$AIRSEED_NODE" ] || break
        ! node_is_done "$name" "$AIRSEED_STAGE" || continue
        PLANES_AHEAD=$((PLANES_AHEAD + 1)) TURNS_AHEAD=$PLANES_AHEAD
        AHEAD=${AHEAD:-$name to be done: control planes go one after another, then workers}
    done
    if [ "$AIRSEED_NODE" = "${AIRSEED_PLANES%% *}" ]; then
        [ -n "$AHEAD" ] || look_together
    elif [ "$TURNS_AHEAD" = 0 ] && [[ " $AIRSEED_PLANES " != *" $AIRSEED_NODE "* ]]; then
        TURNS_AHEAD=$((AIRSEED_COUNT - $(done_nodes "$AIRSEED_STAGE" | wc -l) - 1))
    fi
}

look_together() {
    local there
    [ -n "$READY" ] && ! grep -q "^change-turn - $AIRSEED_NODE " "$TURNS" || return 0
    there=$(ready_nodes "$AIRSEED_STAGE")
    [ "$(printf '%s' "$there" | grep -c .)" -lt "$AIRSEED_COUNT" ] || return 0
    TOGETHER=1
    AHEAD="all $AIRSEED_COUNT nodes to have $READY (so far: ${there//$'\n'/ })"
}

# Go without nodes that are down when nothing has moved for a while; those that live would lose kube-proxy.
go_without() {
    local late
    # nobody knows then who lives; the turn's own patience is the end of that
    late=$(late_nodes) || return 0
    [ -z "$late" ] || fail "these nodes do not have $READY: ${late//$'\n'/ }" \
        "kube-proxy would not start there: run the change's script on them, too, and see airseed-status there; this one goes on when it is run again" "$HOPELESS"
    say "warning: not all $AIRSEED_COUNT nodes have $READY, and those that don't are down: going on without them"
    READY=''
}

# Print the names of the turns that this node may take.
our_turns() {
    local number
    if [[ " $AIRSEED_PLANES " == *" $AIRSEED_NODE "* ]]; then
        printf 'change-turn\n'
    else
        for ((number = 1; number <= ${AIRSEED_AT_ONCE:-1}; number++)); do printf 'change-turn-%d\n' "$number"; done
    fi
}

# Try to get one of our turns: ours from before a power cut, a free one, one whose holder is done, or one
# that nobody has kept for TURN_SECONDS. Sets TURN, or HELD to who has them.
try_turns() {
    local name holder version turns seen since
    turns=$(our_turns)
    TURN='' HELD=''
    for name in $turns; do
        read -r holder version < <(turn_of "$name")
        case $holder in
        # renewed before anything else: it may be about to be taken over
        "$AIRSEED_NODE") lease_replace "$name" "$version" && TURN=$name && return ;;
        -) ;;
        *) HELD="${HELD:+$HELD }$holder" ;;
        esac
    done
    for name in $turns; do
        read -r holder version < <(turn_of "$name")
        if [ "$holder" = - ]; then
            lease_try "$name" && TURN=$name && return
            continue
        fi
        # what it was when we saw it first, and when that was
        read -r seen since 2>/dev/null <"$TURNS.$name" || seen=''
        if [ "$seen" != "$version" ]; then
            printf '%s %s\n' "$version" "$(clock)" >"$TURNS.$name"
            since=$(clock)
        fi
        # by the order of control planes nobody else is at work: theirs is left from the stage before
        if [ "$name" != change-turn ] && ! node_is_done "$holder" "$AIRSEED_STAGE"; then
            [ $(($(clock) - since)) -ge "$TURN_SECONDS" ] || continue
            say "$holder has not kept its turn for $TURN_SECONDS seconds: taking it over"
        fi
        lease_replace "$name" "$version" && TURN=$name && return
    done
    return 1
}

# Wait until it is time to ask again: whoever is next is told by the API server, and all others ask less often the
# later their turns come, so that many machines do not keep it from the one that works.
rest() {
    local more=$TURNS_AHEAD
    [ "$more" -gt 1 ] || ! await_word || return 0
    [ "$more" -le 5 ] || more=5
    sleep "${AIRSEED_LEASE_POLL:-2}"
    while [ "$more" -gt 1 ]; do
        sleep "${AIRSEED_LEASE_POLL:-2}"
        more=$((more - 1))
    done
}

# Wait until the API server tells that a Lease of this change is another one than was read last. Fails where nothing was
# told within twenty seconds, or nothing can be.
await_word() {
    local told=$TURNS.told watcher ends
    makes_a_change && [ -n "${TURNS_READ:-}" ] || return 1
    need account
    ends=$(($(clock) + 20))
    : >"$told"
    watch_as_account "$(our_leases)&resourceVersion=$TURNS_READ" >"$told" 8>&- &
    watcher=$!
    while [ ! -s "$told" ] && kill -0 "$watcher" 2>/dev/null && [ "$(clock)" -lt "$ends" ]; do sleep 0.2; done
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    grep -qE '"type":"(ADDED|MODIFIED|DELETED)"' "$told"
}

# Wait for this node's turn, and keep it as long as the runner lives.
take_turn() {
    local begun done_before='' ended
    [ ! -e "$WORK/over" ] || return 0
    READY=$(plan_setting ready) TOGETHER='' AHEAD='' TURNS_AHEAD=0
    rm -f "$TURNS".*
    await_turns
    announce
    LEASE_LABELS=$(change_labels)
    LEASE_SECONDS=$TURN_SECONDS
    begun=$(clock)
    while :; do
        if read_turns; then
            ended=$(cat "$TURNS")
            [ "$ended" = "$done_before" ] || { done_before=$ended && begun=$(clock); }
            # done, and cut off before the turn was given back
            if node_is_done "$AIRSEED_NODE" "$AIRSEED_STAGE"; then
                : >"$WORK/over"
                return
            fi
            look_ahead
            if [ -z "$AHEAD" ]; then
                ! try_turns || break
                AHEAD="${HELD:-other workers} to be done: ${AIRSEED_AT_ONCE:-1} at a time"
            fi
            waiting "$AHEAD"
        else
            # nobody could have kept a turn meanwhile
            rm -f "$TURNS".*
        fi
        [ -z "$TOGETHER" ] || [ $(($(clock) - begun)) -lt "${AIRSEED_TOGETHER_PATIENCE:-600}" ] || go_without
        [ $(($(clock) - begun)) -lt "${AIRSEED_TURN_PATIENCE:-3600}" ] ||
            fail "nothing has moved for $((${AIRSEED_TURN_PATIENCE:-3600} / 60)) minutes; this node waits for ${AHEAD:-the API server}" \
                "start the change where it was not started, and see airseed-status on those machines; this one goes on when its NODE.sh is run again" "$HOPELESS"
        rest
    done
    waited
    say "it is this node's turn"
    rm -f "$WORK/lost"
    : >"$TURN_KEPT"
    # a disk that is full for a moment does not end it
    { lease_keep "$TURN" turn_is_kept || lose_turn; } >/dev/null 2>&1 8>&- &
}

turn_is_kept() { kill -0 "$AIRSEED_RUNNER" && [ -e "$TURN_KEPT" ]; }

# Tell the runner that the turn is lost, unless it was given back.
lose_turn() {
    local holder
    holder=$(json_field "$API_BODY" holderIdentity) || holder=nobody
    ! turn_is_kept || { printf '%s' "$holder" >"$TURN_KEPT" && mv "$TURN_KEPT" "$WORK/lost"; }
}

# Give the turn back, whichever it is, by what was read last.
give_turn_back() {
    local name
    # its keeper looks at it before each word
    rm -f "$TURN_KEPT"
    awk -v holder="$AIRSEED_NODE" '$1 ~ /^change-turn/ && $3 == holder { print $1 }' "$TURNS" | while read -r name; do
        lease_release "$name"
        is_released || exit 1
    done
}

# Say of this node what LABELS say, in the place of what was read last: nobody else writes that Lease.
note_of_us() {
    local name=change-$AIRSEED_CHANGE.$AIRSEED_NODE version
    LEASE_LABELS="$(change_labels),$1"
    read -r _ version < <(turn_of "$name" 2>/dev/null) || version=-
    { [ "$version" != - ] && lease_replace "$name" "$version"; } || lease_try "$name"
}

# Say that this node is ready for its stage, unless it was said. What it is done with is the stage before among its
# own: one in which it has no part counts others.
mark_ready() {
    local own
    ! ready_nodes "$AIRSEED_STAGE" | grep -xF -- "$AIRSEED_NODE" >/dev/null || return 0
    own=$(awk -v stage="$AIRSEED_STAGE" '$1 < stage + 0 { own = $1 } END { print own + 0 }' "$CHANGE/stages")
    note_of_us "\"stage\":\"$own\",\"ready\":\"$AIRSEED_STAGE\""
}

# Say that this node has what all are to have before the first one takes its turn, where its plan names anything.
announce() {
    [ -n "$(plan_setting ready)" ] || return 0
    wait_until "the API server to note that this node is ready" "${AIRSEED_API_PATIENCE:-300}" mark_ready ||
        fail "it can't be noted that this node is ready: HTTP $API_CODE, $API_TROUBLE" "does the API server at $AIRSEED_ENDPOINT answer?"
}

# Wait until at most one control plane is ahead, or for ten minutes: where machines share a host, all that this node
# does before its own turn is taken from whoever is at work.
await_near() {
    local begun
    READY='' AHEAD='' TURNS_AHEAD=0
    begun=$(clock)
    while [ $(($(clock) - begun)) -lt "${AIRSEED_NEAR_PATIENCE:-600}" ]; do
        if read_turns; then
            look_ahead
            [ "$PLANES_AHEAD" -gt 1 ] || break
        fi
        waiting "${AHEAD:-the API server at $AIRSEED_ENDPOINT to answer}"
        rest
    done
    waited
}

# Say that this node is done with its stage.
mark_done() { note_of_us "\"stage\":\"$AIRSEED_STAGE\""; }

# Whoever is the last one makes room for another change.
close_change() {
    [ "$AIRSEED_STAGE" = "$AIRSEED_STAGES" ] || return 0
    read_turns || return 1
    [ "$(done_nodes "$AIRSEED_STAGE" | grep -c .)" -lt "$AIRSEED_COUNT" ] || shut_turns
}

# Say that this node is done, and give its turn back. Whoever comes back to that after all are done is heard
# by nobody.
release() {
    stamp_durably released
    { read_turns && mark_done && give_turn_back && close_change; } || is_over
}
