#!/bin/bash
# Leave the cluster: let the pods go, wait until etcd counts this machine no more, and take off what made it a node.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE LEAVER
# uses: ADDRESS AT_ONCE CLUSTER COUNT COUNT_BEFORE CRI_SOCKET ENDPOINT ENDPOINT_BY ENDPOINT_CARD ENDPOINT_IMAGE
# uses: ENDPOINT_PLANES HELPER HELPER_ADDRESS IMAGES KUBEADM_FILES LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL PLANES ROLE RUNTIME SKIP_PHASES STAGES SUCCESSOR SUMS KUBERNETES NODES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role turns agreement members drain undo-endpoint
load_environment

# Agree on the change with the others, as long as this machine is the node that it was.
announce_leaving() {
    agree
    # several machines that go are not drained at once
    wait_until "the machines that go before this one" "${AIRSEED_TURN_PATIENCE:-3600}" is_our_stage ||
        fail "this machine waits for ${AHEAD:-the API server}" "see airseed-status on those that go before it"
    # shellcheck disable=SC2034 # for drain
    (AIRSEED_NODE=$AIRSEED_LEAVER && drain)
    wait_until "the API server, to say that this machine may go" 300 say_at_door_once || fail "the API server at $AIRSEED_ENDPOINT does not take this machine's word: HTTP $API_CODE" "does it answer?"
    detour "$AIRSEED_HELPER_ADDRESS"
    wait_until "$AIRSEED_HELPER to take $AIRSEED_LEAVER out of the cluster" "${AIRSEED_TURN_PATIENCE:-3600}" is_at_door go ||
        fail "$AIRSEED_HELPER has not taken $AIRSEED_LEAVER out of the cluster" "is the change started there, and what does its airseed-status say?"
    stamp_durably departing
}

is_our_stage() {
    read_turns || return 1
    look_back
    [ -z "$AHEAD" ]
}

# What was said before a power cut stays said.
say_at_door_once() {
    local said
    said=$(door) || return 1
    [ -n "$said" ] || say_at_door door
}

main() {
    is_stamped departing || announce_leaving
    detour "$AIRSEED_HELPER_ADDRESS"
    if ! is_stamped stopped; then
        # it would make its Node again when the machine starts
        systemctl disable kubelet.service
        systemctl stop kubelet.service
        wait_until "$AIRSEED_HELPER to hear that this machine has gone" 60 say_at_door gone || say "warning: $AIRSEED_HELPER will take its silence for that"
        stamp_durably stopped
    fi
    shed
    no_detour
    [ -z "$AIRSEED_SUCCESSOR" ] || return 0
    # whoever joins again goes on keeping it up
    AIRSEED_ENDPOINT_BY='' take_endpoint_away
    say "this machine is no node any more; images and packages stay until somebody removes them"
    [ ! -d "$STATE/snapshots" ] || say "so do snapshots of etcd with the cluster's keys, in $STATE/snapshots"
    for timer in images snapshot window; do
        [ -e "$R/etc/systemd/system/airseed-$timer.timer" ] || continue
        systemctl disable "airseed-$timer.timer"
        systemctl stop "airseed-$timer.timer"
    done
}

main
