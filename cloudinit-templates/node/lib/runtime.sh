#!/bin/bash
# Wait for the container runtime. Sourced.

docker_answers() { docker info >/dev/null 2>&1; }

containerd_answers() { ctr --namespace k8s.io version >/dev/null 2>&1; }

await_runtime() {
    wait_until "$AIRSEED_RUNTIME to answer" 90 "${AIRSEED_RUNTIME}_answers" ||
        fail "$AIRSEED_RUNTIME does not answer" "journalctl -u $AIRSEED_RUNTIME says why"
}
