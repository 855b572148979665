#!/bin/bash
# That all machines mean the same change: the first one claims it, whoever comes with another is refused. Sourced.
# seed: none has it; the script of a change brings it
# shellcheck disable=SC2153,SC2034 # LEASE_* are for lease.sh

need turns rights

# Give up what the cluster does not take: WHAT, HINT. Where nothing of it was done yet, one of the same name may come.
refuse_change() {
    : >"$CHANGE/refused"
    compgen -G "${WORK%/*}/*/stamps/step-agree" >/dev/null || rm -f "${WORK%/*}/digest"
    fail "$1" "$2" "$HOPELESS"
}

# Have this change known as the one that is under way; a second one is refused.
claim_change() {
    local wanted digest begun instead known
    begun=$(clock)
    instead=$(plan_setting instead)
    [ ! -e "$CHANGE/instead" ] || instead=1
    digest=$(change_digest)
    known=$(awk -v ours="$digest" '$6 != "-" && $6 != ours { print $6; exit }' "$TURNS")
    [ -z "$known" ] || refuse_change "this cluster knows another change of the name $AIRSEED_CHANGE: $known; this one is $digest" \
        "what is done there would pass for done here: write this one by a name of its own, with airseed changes --write --instead"
    wanted="$AIRSEED_CHANGE $digest"
    LEASE_HOLDS=$wanted LEASE_LABELS=''
    until lease_try change; do
        # another machine of this change has said it, and one more is saying it again
        [ "$LEASE_HOLDER" != "$wanted" ] || break
        if [ -n "$LEASE_HOLDER" ]; then
            [ -n "$instead" ] ||
                refuse_change "another change is under way in this cluster: $LEASE_HOLDER; this one is $wanted" \
                    "let that one end (airseed-status on each machine says how it stands), or, if it was given up, run this one's NODE.sh with --instead on every machine"
            ! lease_replace change "$LEASE_SEEN" || break
        fi
        [ $(($(clock) - begun)) -lt "${AIRSEED_API_PATIENCE:-300}" ] ||
            fail "the API server at $AIRSEED_ENDPOINT does not take this change: HTTP $API_CODE, $API_TROUBLE" "does it answer? curl -k https://$AIRSEED_ENDPOINT/version"
        sleep "${AIRSEED_LEASE_POLL:-2}"
    done
    LEASE_HOLDS=''
    rm -f "$CHANGE/refused"
}

# Agree with the other machines on the change that is under way.
agree() {
    if is_over; then
        : >"$WORK/over"
        return
    fi
    if is_control_plane; then
        wait_until "the API server to let changes in" "${AIRSEED_API_PATIENCE:-300}" grant_rights ||
            fail_saying "the API server does not take what nodes need for a change" "kubectl get --raw /healthz, with /etc/kubernetes/admin.conf"
    fi
    await_turns
    claim_change
    # what was open may have been that of the change before
    ! is_control_plane || have_rights || grant_rights >/dev/null 2>&1 || true
}
