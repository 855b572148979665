#!/bin/bash
# Wait for the container runtime. Sourced.

need says

docker_answers() { AIRSEED_ASK_PATIENCE=${AIRSEED_ANSWER_PATIENCE:-20} docker info >/dev/null 2>&1; }

containerd_answers() { AIRSEED_ASK_PATIENCE=${AIRSEED_ANSWER_PATIENCE:-20} ctr --namespace k8s.io version >/dev/null 2>&1; }

# Start or restart the runtime, HOW. docker's unit has no limit for that.
start_runtime() {
    local said
    timeout --foreground "${AIRSEED_START_PATIENCE:-300}" systemctl "$1" "$AIRSEED_RUNTIME.service" && await_runtime && return
    said=$(unit_says "$AIRSEED_RUNTIME")
    fail "$AIRSEED_RUNTIME does not start${said:+: $said}" "journalctl -u $AIRSEED_RUNTIME says why"
}

await_runtime() {
    local said
    wait_until "$AIRSEED_RUNTIME to answer" "${AIRSEED_RUNTIME_PATIENCE:-90}" "${AIRSEED_RUNTIME}_answers" && return
    said=$(unit_says "$AIRSEED_RUNTIME")
    fail "$AIRSEED_RUNTIME does not answer${said:+: $said}" "journalctl -u $AIRSEED_RUNTIME says why"
}

# Have systemd look, before each start of UNIT, for what keeps it from starting.
mend_before() {
    local unit
    for unit; do put_noting runtime "$R/etc/systemd/system/$unit.service.d/airseed-mend.conf" 0644 <"$LIBEXEC/units/mend.conf"; done
}

# Stop all pods, whose kubelet does not run, and remove them.
stop_pods() {
    local names
    if [ "$AIRSEED_RUNTIME" = docker ]; then
        names=$(docker ps -q --filter name=k8s_) || names=''
        # shellcheck disable=SC2086 # several names
        [ -z "$names" ] || docker stop --time 20 $names >/dev/null || true
        names=$(docker ps -a -q --filter name=k8s_) || names=''
        # shellcheck disable=SC2086
        [ -z "$names" ] || docker rm -f -v $names >/dev/null || true
    else
        names=$(crictl pods -q 2>/dev/null) || names=''
        # shellcheck disable=SC2086
        [ -z "$names" ] || { crictl stopp $names && crictl rmp -f $names; } >/dev/null || true
    fi
}
