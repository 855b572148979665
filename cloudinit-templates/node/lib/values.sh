#!/bin/bash
# The values of this node, or of an image that is made. Sourced.
# shellcheck disable=SC2034 # they are for all

# Read the values. What is not set is empty, so that scripts can rely on every name.
load_environment() {
    local name wanted
    for name in CLUSTER NODE ROLE GENERATION KUBERNETES KUBEADM_FILES RUNTIME CRI_SOCKET CGROUP_DRIVER ADDRESS \
        ADDRESSES ENDPOINT PEERS CONTROL_PLANES WINDOW PKI SUMS MADE_BYTES PAYLOAD_URL REGISTRY SANDBOX_IMAGE \
        PACKAGES REPOSITORIES POD_SUBNETS SERVICE_SUBNETS DOMAIN CNI UNTAINT NTP HTTP_PROXY \
        HTTPS_PROXY NO_PROXY PHONE_HOME NEED_MIB KEEP_FREE IMAGES HELD KEEP SELINUX FIREWALL FIREWALL_PORTS ON_LINK CNI_REACH SKIP_PHASES \
        SNAPSHOTS_EVERY SNAPSHOTS_KEEP SNAPSHOTS_TO ENDPOINT_BY ENDPOINT_CARD ENDPOINT_PLANES ENDPOINT_IMAGE $CHANGE_VALUES; do
        printf -v "AIRSEED_$name" '%s' ''
    done
    [ -s "$VALUES" ] || fail "$VALUES is missing or empty" \
        "cloud-init did not write the seed's files: see /var/log/cloud-init.log"
    read_values
    # until a stage has let go of the runtime before, that is this node's
    [ -z "$AIRSEED_RUNTIME_BEFORE" ] || [ -e "$STAMPS/step-unload" ] || AIRSEED_RUNTIME=$AIRSEED_RUNTIME_BEFORE
    wanted='NODE ROLE RUNTIME'
    is_of_a_node || wanted=RUNTIME
    for name in $wanted; do
        name=AIRSEED_$name
        [ -n "${!name}" ] || fail "$name is missing in $VALUES" "render the seed again"
    done
    ! is_of_a_node || [ -n "$AIRSEED_ADDRESS" ] || find_address
}

# A lone machine's seed may leave the address open: then it is that of the card that leads out, or
# the first one there is. It is kept, since certificates are made for it; until there is one it
# stays empty.
find_address() {
    local kept=$STATE/address address=''
    [ ! -s "$kept" ] || address=$(cat "$kept")
    if [ -z "$address" ]; then
        address=$(ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' | head -n 1) || true
        [ -n "$address" ] || address=$(ip -o addr show scope global 2>/dev/null | awk '
            { split($4, part, "/"); print part[1]; exit }') || true
        [ -n "$address" ] || return 0
        printf '%s\n' "$address" | put "$kept" 0644
    fi
    AIRSEED_ADDRESS=$address
    AIRSEED_ADDRESSES=$address
    [ -n "$AIRSEED_ENDPOINT" ] || AIRSEED_ENDPOINT=$(bracketed "$address"):6443
}
