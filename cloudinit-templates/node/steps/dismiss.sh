#!/bin/bash
# Take a machine out of the cluster that leaves it, or that is dead: out of etcd first, then its Node.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE LEAVER
# uses: ADDRESS AT_ONCE COUNT COUNT_BEFORE CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER_ADDRESSES MADE_BYTES
# uses: PAYLOAD_URL PLANES ROLE RUNTIME SKIP_PHASES STAGES SUCCESSOR SUMS NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role turns members
load_environment

# Wait until it may go: it says so itself, or nobody has heard of it for longer than kubelet is silent. Sets
# ALIVE.
await_leaver() {
    local says begun
    begun=$(clock)
    while :; do
        ALIVE=1
        if says=$(leaver_says); then
            case $says in
            '' | Unknown) ALIVE='' && break ;;
            esac
            case $(door) in door | go | gone) break ;; esac
        fi
        waiting "$AIRSEED_LEAVER to let its pods go: run $AIRSEED_LEAVER.sh there, or power it off"
        [ $(($(clock) - begun)) -lt "${AIRSEED_TURN_PATIENCE:-3600}" ] ||
            fail "$AIRSEED_LEAVER is alive, but does not leave" \
                "run $AIRSEED_LEAVER.sh there, and see its airseed-status; or power it off for good, and it is taken out as a dead one"
        sleep 2
    done
    waited
}

is_gone() { is_at_door gone || [ "$(leaver_says)" = Unknown ]; }

mark_leaver() (
    # shellcheck disable=SC2034 # for mark_done
    AIRSEED_NODE=$AIRSEED_LEAVER
    mark_done
)

main() {
    detour "$AIRSEED_ADDRESS"
    await_leaver
    expel_member
    wait_until "the API server, to tell $AIRSEED_LEAVER that it may go" 120 say_go || fail "the API server does not take this node's word: HTTP $API_CODE" "does it answer?"
    if [ -n "$ALIVE" ]; then
        wait_until "$AIRSEED_LEAVER to stop" "${AIRSEED_GONE_PATIENCE:-900}" is_gone ||
            fail "$AIRSEED_LEAVER is out of etcd, but its kubelet still runs" "what does its airseed-status say? or power it off"
    else
        say "$AIRSEED_LEAVER is dead: it is taken out by what is left. Let it never start again as it is."
    fi
    wait_until "the API server, to forget $AIRSEED_LEAVER" 120 forget_leaver || fail "$AIRSEED_LEAVER can't be removed from the cluster" "kubectl delete node $AIRSEED_LEAVER says why"
    if [ -z "$AIRSEED_SUCCESSOR" ]; then
        wait_until "the API server, to note that $AIRSEED_LEAVER is out" 120 mark_leaver || fail "it can't be noted that $AIRSEED_LEAVER is out: HTTP $API_CODE" ''
        no_detour
    fi
}

# It may have stopped meanwhile.
say_go() {
    local said
    said=$(door) || return 1
    case $said in go | gone) ;; *) say_at_door go ;; esac
}

main
