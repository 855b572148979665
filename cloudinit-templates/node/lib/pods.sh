#!/bin/bash
# The static pods of this control plane: started again one after another, and seen to stay. Sourced.
# seed: none has it; the script of a change brings it
#
# That one has to start again is noted before the file changes for which it has to, so that a runner that
# was ended meanwhile does not forget it.

need kubeadm says why

# Print the ID of the container NAME that runs.
container_of() { pod_containers running | awk -v name="$1" '$2 == name { print $1; exit }'; }

# End the container NAME; kubelet starts it again, with the files as they are by then.
end_container() {
    local id
    id=$(container_of "$1")
    [ -n "$id" ] || return 0
    say "starting $1 again"
    if [ "$AIRSEED_RUNTIME" = docker ]; then docker stop --time 30 "$id"; else crictl stop --timeout 30 "$id"; fi >/dev/null
}

runs_anew() {
    RUNS=$(container_of "$1")
    [ -n "$RUNS" ] && [ "$RUNS" != "$2" ]
}

# Tell whether the same container NAME was there, and this node's API server answered, several times in a row.
stays() {
    if [ "$(container_of "$1")" = "$RUNS" ] && own_api_is_healthy; then
        GOOD=$((GOOD + 1))
    else
        GOOD=0 RUNS=$(container_of "$1")
    fi
    [ "$GOOD" -ge "${AIRSEED_GOOD_ANSWERS:-5}" ]
}

# Wait for a container NAME that is not OLD, until it is clear that it stays.
await_container() {
    GOOD=0
    if ! wait_until "$1 to start again" "${AIRSEED_POD_PATIENCE:-300}" runs_anew "$1" "$2" ||
        ! wait_until "$1 to stay, and this node's API server to answer" "${AIRSEED_POD_PATIENCE:-300}" stays "$1"; then
        fail_saying "$1 does not come up again" "journalctl -u kubelet and the container's log tell more; when its cause is gone this goes on"
    fi
}

# Start those again that have to.
restart_pods() {
    local name old
    for name in $PODS; do
        is_changed "$name" || continue
        old=$(container_of "$name")
        # kubelet lets one wait that ended too often; a new kubelet does not
        if [ -n "$old" ]; then end_container "$name"; else systemctl restart kubelet.service; fi
        await_container "$name" "$old"
        settled "$name"
    done
}
