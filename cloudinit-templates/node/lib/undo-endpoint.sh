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

# Who is killed, as where the runtime is told to end all, leaves the address behind.
drop_kube_vip() {
    local address card
    is_ours "$KUBE_VIP" || return 0
    address=$(sed -n '/name: address$/{n;s/.*"\(.*\)"$/\1/p}' "$KUBE_VIP")
    rm -f "$KUBE_VIP"
    wait_until "kube-vip to end" 60 kube_vip_is_gone || say "warning: kube-vip does not end"
    card=$(card_of "$address")
    case $card/$address in /*) ;; *:*) ip address delete "$address/128" dev "$card" ;; *) ip address delete "$address/32" dev "$card" ;; esac
}

kube_vip_is_gone() { ! pgrep -x kube-vip >/dev/null; }

drop_keepalived() {
    [ -e "$KEEPALIVED_UNIT" ] || return 0
    # its unit lets go of the address
    let_go
    rm -f "$KEEPALIVED" "$KEEPALIVED_CHECK" "$KEEPALIVED_MEMBER" "$KEEPALIVED_UNIT"
    systemctl daemon-reload
}

drop_local_proxy() {
    ! is_ours "$PROXY" || rm -f "$PROXY"
    rm -rf "$ETC/proxy"
    write_hosts 'airseed endpoint' </dev/null
}
