#!/bin/bash
# Take away what keeps an endpoint up. Sourced.
# seed: none has it; the script of a change brings it

need endpoint kube-vip keepalived local-proxy

# Take away all that is not what the values want; what is not airseed's stays.
take_endpoint_away() {
    local by
    for by in kube-vip keepalived local-proxy; do
        [ "$by" = "$AIRSEED_ENDPOINT_BY" ] || "drop_${by//-/_}"
    done
}

is_ours() { [ -f "$1" ] && [ "$(head -n 1 "$1")" = "$OURS" ]; }

drop_kube_vip() { ! is_ours "$KUBE_VIP" || rm -f "$KUBE_VIP"; }

drop_keepalived() {
    [ -e "$KEEPALIVED_UNIT" ] || return 0
    # its unit lets go of the address
    let_go
    rm -f "$KEEPALIVED" "$KEEPALIVED_CHECK" "$KEEPALIVED_UNIT"
    systemctl daemon-reload
}

drop_local_proxy() {
    ! is_ours "$PROXY" || rm -f "$PROXY"
    rm -rf "$ETC/proxy"
    write_hosts 'airseed endpoint' </dev/null
}
