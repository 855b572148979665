#!/bin/bash
# Wait for the container runtime. Sourced.

need says

docker_answers() { docker info >/dev/null 2>&1; }

containerd_answers() { ctr --namespace k8s.io version >/dev/null 2>&1; }

await_runtime() {
    local said
    wait_until "$AIRSEED_RUNTIME to answer" 90 "${AIRSEED_RUNTIME}_answers" && return
    said=$(unit_says "$AIRSEED_RUNTIME")
    fail "$AIRSEED_RUNTIME does not answer${said:+: $said}" "journalctl -u $AIRSEED_RUNTIME says why"
}

# Have systemd look, before each start of UNIT, for what keeps it from starting.
mend_before() {
    local unit
    for unit; do put_noting runtime "$R/etc/systemd/system/$unit.service.d/airseed-mend.conf" 0644 <"$LIBEXEC/units/mend.conf"; done
}
