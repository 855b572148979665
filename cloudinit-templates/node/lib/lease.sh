#!/bin/bash
# Leases in the namespace airseed: one control plane joins at a time. Sourced.
#
# A lease is made with one POST (201: ours, 409: somebody's), renewed while held, and taken over
# when it has not been renewed for its duration, by the clock of who waits and while the API
# server answered: the clocks of machines differ, and nobody can renew what can't be reached.
# shellcheck disable=SC2153 # API_CODE and API_BODY are two things

need json api

LEASES=/apis/coordination.k8s.io/v1/namespaces/airseed/leases
LEASE_SECONDS=60
LEASE_KEEPER=''
# who has it, and members of its labels, where these say more
LEASE_HOLDS=''
LEASE_LABELS=''

# Write a Lease named NAME to FILE; with VERSION it replaces exactly that version.
lease_document() {
    local name=$1 file=$2 version=${3:-} stamp
    stamp=$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)
    {
        printf '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"%s","namespace":"airseed"' "$name"
        [ -z "$version" ] || printf ',"resourceVersion":"%s"' "$version"
        printf ',"labels":{%s}' "$LEASE_LABELS"
        printf '},"spec":{"holderIdentity":"%s","leaseDurationSeconds":%d,' "${LEASE_HOLDS:-$AIRSEED_NODE}" "$LEASE_SECONDS"
        printf '"acquireTime":"%s","renewTime":"%s"}}' "$stamp" "$stamp"
    } >"$file"
}

# Make the Lease NAME ours, or look who has it. Sets LEASE_HOLDER and LEASE_SEEN, what changes
# with each renewal; both are empty when there was no answer of use.
lease_try() {
    LEASE_HOLDER='' LEASE_SEEN=''
    lease_document "$1" "$STATE/lease.json"
    api POST "$LEASES" "$STATE/lease.json"
    case $API_CODE in
    201) return 0 ;;
    409) ;;
    *) return 1 ;;
    esac
    api GET "$LEASES/$1"
    if [ "$API_CODE" = 404 ]; then
        # given back this very moment
        lease_try "$1"
        return
    fi
    [ "$API_CODE" = 200 ] || return 1
    LEASE_HOLDER=$(json_field "$API_BODY" holderIdentity) || LEASE_HOLDER=''
    LEASE_SEEN=$(json_field "$API_BODY" resourceVersion) || LEASE_SEEN=''
    # ours from before a restart
    [ "$LEASE_HOLDER" = "${LEASE_HOLDS:-$AIRSEED_NODE}" ] && lease_replace "$1" "$LEASE_SEEN"
}

lease_replace() {
    lease_document "$1" "$STATE/lease.json" "$2"
    api PUT "$LEASES/$1" "$STATE/lease.json"
    [ "$API_CODE" = 200 ]
}

# Get the Lease NAME, and keep it renewed until lease_release or the end
# of this process.
lease_get() {
    local name=$1 seen='' since=0 begun
    begun=$(clock)
    until lease_try "$name"; do
        [ $(($(clock) - begun)) -lt "${AIRSEED_LEASE_PATIENCE:-3600}" ] ||
            fail "${LEASE_HOLDER:-nobody} has the lease to join for an hour (HTTP $API_CODE)" \
                "see airseed-status on ${LEASE_HOLDER:-the first control plane}: control planes join one at a time"
        if [ -z "$LEASE_SEEN" ]; then
            # nobody could have renewed it meanwhile
            seen=''
            waiting "the API server to give the lease to join"
        elif [ "$LEASE_SEEN" != "$seen" ]; then
            seen=$LEASE_SEEN since=$(clock)
            waiting "$LEASE_HOLDER to finish joining: control planes join one at a time"
        elif [ $(($(clock) - since)) -ge "$LEASE_SECONDS" ]; then
            say "$LEASE_HOLDER has not renewed its lease for $LEASE_SECONDS seconds: taking it over"
            ! lease_replace "$name" "$seen" || break
            seen=''
        fi
        sleep "${AIRSEED_LEASE_POLL:-2}"
    done
    waited
    lease_keep "$name" kill -0 "$$" >/dev/null 2>&1 &
    LEASE_KEEPER=$!
}

# Renew the Lease NAME as long as COMMAND says so. Fails when it is somebody else's, or gone.
lease_keep() {
    local name=$1
    shift
    # not the files that the owner uses at the same time
    API_BODY=$STATE/keeper.body
    exec 6>"$STATE/keeper.lock"
    while sleep $((LEASE_SECONDS / 6)); do
        flock 6
        "$@" || return 0
        lease_renew "$name" || return 1
        flock -u 6
    done
    return 0
}

lease_renew() {
    api GET "$LEASES/$1"
    case $API_CODE in 200) ;; 404) return 1 ;; *) return 0 ;; esac
    [ "$(json_field "$API_BODY" holderIdentity)" = "$AIRSEED_NODE" ] || return 1
    lease_document "$1" "$STATE/keeper.json" "$(json_field "$API_BODY" resourceVersion)"
    api PUT "$LEASES/$1" "$STATE/keeper.json"
}

# Give the Lease NAME back, if it is still ours, between two words of its keeper: a late one would make anew what is
# gone, since the API server makes a Lease that is replaced and is not there.
lease_release() {
    exec 6>"$STATE/keeper.lock"
    flock -w 60 6 || true
    [ -z "$LEASE_KEEPER" ] || kill "$LEASE_KEEPER" 2>/dev/null || true
    LEASE_KEEPER=''
    lease_delete "$1"
    exec 6>&-
}

# Delete the Lease NAME as it is now, since who takes it over leaves it its uid.
lease_delete() {
    local version
    for _ in 1 2 3; do
        api GET "$LEASES/$1"
        [ "$API_CODE" = 200 ] && [ "$(json_field "$API_BODY" holderIdentity)" = "${LEASE_HOLDS:-$AIRSEED_NODE}" ] || return 0
        version=$(json_field "$API_BODY" resourceVersion) || return 0
        printf '{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"resourceVersion":"%s"}}' "$version" >"$STATE/lease.json"
        api DELETE "$LEASES/$1" "$STATE/lease.json"
        [ "$API_CODE" = 409 ] || return 0
    done
}

node_exists() {
    api GET "/api/v1/nodes/$1"
    [ "$API_CODE" = 200 ]
}

# Register this machine's ID under this node's name: two machines with one ID are one clone too
# many. A holder whose Node is gone doesn't count.
claim_machine_id() {
    local id name
    id=$(tr -d '\n' <"$R/etc/machine-id")
    name=machine-$id
    ! lease_try "$name" || return 0
    [ -n "$LEASE_HOLDER" ] && [ "$LEASE_HOLDER" != "$AIRSEED_NODE" ] || return 0
    local holder=$LEASE_HOLDER seen=$LEASE_SEEN
    # one that started when we did is not there yet
    if ! node_exists "$holder" && [ "$API_CODE" = 404 ] && ! wait_until "the node $holder, which has this machine's ID, to appear or stay away" \
        "${AIRSEED_CLONE_PATIENCE:-180}" node_exists "$holder"; then
        lease_replace "$name" "$seen" || true
        return 0
    fi
    fail "the node $holder has the same machine-id as this machine, $id" \
        "one was cloned from the other: rm /etc/machine-id, systemd-machine-id-setup, reboot; if $holder is this machine's old name: kubectl delete node $holder"
}
