#!/bin/bash
# The endpoint's address, carried by keepalived on the control planes. Sourced.
# seed: by keepalived

need cards tls says

KEEPALIVED=$R/etc/keepalived/keepalived.conf
KEEPALIVED_UNIT=$R/etc/systemd/system/keepalived.service.d/airseed.conf
KEEPALIVED_CHECK=$R/usr/libexec/keepalived/airseed-check
KEEPALIVED_MEMBER=$R/usr/libexec/keepalived/airseed-member

# All are backups by their configuration, the first control planes before the later ones, and who has an API
# server that answers before all who have none: so the first has the address before any answers, as kubeadm
# init wants it.
lay_keepalived() {
    is_control_plane || return 0
    local address
    find_cards
    address=$(carried)
    put "$KEEPALIVED_CHECK" 0755 <<'SH'
#!/bin/sh
export NSS_SDB_USE_CACHE=no
# who tells strangers nothing answers, too
case $(curl -q -s -k -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 2 https://127.0.0.1:6443/readyz) in
200 | 401 | 403) ;;
*) exit 1 ;;
esac
SH
    # who asks too long has heard nothing
    put_noting keepalived "$KEEPALIVED_MEMBER" 0755 <<'SH'
#!/bin/sh
timeout 20 /usr/libexec/airseed/actions/member >/dev/null 2>&1
[ $? -ne 1 ]
SH
    # no checks of its own virtual servers
    echo 'KEEPALIVED_OPTIONS="-D -P"' | put_noting keepalived "$R/etc/sysconfig/keepalived" 0644
    put_noting keepalived "$KEEPALIVED_UNIT" 0644 <<UNIT
[Unit]
# its unit starts after that, and asks for it nowhere: else it may have the endpoint's address before its own is there
Wants=network-online.target
[Service]
ExecStartPre=${KEEPALIVED_MEMBER#"$R"}
Restart=always
# slower than what systemd takes for too often; without its card yet it tries again
RestartSec=3
# who is killed leaves its address behind
ExecStopPost=-/sbin/ip address delete $address dev $CARD
UNIT
    keepalived_settings "$address" | put_noting endpoint "$KEEPALIVED" 0644
    if is_changed keepalived; then
        systemctl daemon-reload
        systemctl enable keepalived.service
        systemctl restart keepalived.service
    elif is_changed endpoint && systemctl is-active --quiet keepalived.service; then
        systemctl reload keepalived.service
    else
        systemctl start keepalived.service
    fi
    settled endpoint
    await_address "${address%/*}"
    if is_changed keepalived && [ -n "$(card_of "${address%/*}")" ]; then
        claim "${address%/*}" let_go
        # to ask by IPv6 took the address away
        if [[ $address == *:* ]]; then
            systemctl restart keepalived.service
            await_address "${address%/*}"
        fi
    fi
    settled keepalived
}

await_address() {
    if [ "$AIRSEED_ROLE" = init ]; then
        wait_until "keepalived to bring up $1 here or elsewhere" "${AIRSEED_ENDPOINT_PATIENCE:-60}" address_is_up "$1" ||
            fail "keepalived does not bring $1 up: $(unit_says keepalived)" "journalctl -u keepalived"
    elif is_changed keepalived; then
        # whoever joins waits for an API server later; by then it has heard the others, or nobody
        sleep "${AIRSEED_VRRP_PATIENCE:-6}"
    fi
}

# For good: the next start of this machine does not take the address either.
let_go() {
    systemctl disable keepalived.service || true
    systemctl stop keepalived.service
}

address_is_up() { [ -n "$(card_of "$1")" ] || speaks_tls "$1" "${AIRSEED_ENDPOINT##*:}"; }

# Print keepalived's settings. A router's id is derived from cluster and address; neighbours with the same
# one are not heard, since all is unicast. Who is alone speaks to itself: without a peer it would speak to all.
# The check is root's, since SELinux lets keepalived become nobody else before CentOS 7.8, and it takes a check
# that it can't start for a good one.
keepalived_settings() {
    local address=$1 plane priority=100 mine='' peers='' track='' id
    for plane in $AIRSEED_ENDPOINT_PLANES; do
        if [ "$plane" = "$AIRSEED_ADDRESS" ]; then mine=$priority; else peers="$peers        $plane"$'\n'; fi
        priority=$((priority - 1))
    done
    peers=${peers:-"        $AIRSEED_ADDRESS"}
    peers=${peers%$'\n'}
    # its own it tracks anyway
    [ "$CARD" = "$OWN_CARD" ] || track=$'    track_interface {\n        '"$CARD"$'\n    }\n'
    id=$(printf '%s %s' "$AIRSEED_CLUSTER" "$address" | sha256sum)
    cat <<CONF
$OURS
global_defs {
    enable_script_security
    script_user root
    vrrp_check_unicast_src
}
vrrp_script api_server {
    script "${KEEPALIVED_CHECK#"$R"}"
    interval 1
    timeout 3
    fall 2
    rise 2
    weight 100
}
vrrp_script member {
    script "${KEEPALIVED_MEMBER#"$R"}"
    interval 30
    timeout 25
}
vrrp_instance endpoint {
    state BACKUP
    interface $OWN_CARD
    virtual_router_id $((16#${id:0:4} % 255 + 1))
    priority $mine
    advert_int 1
    unicast_src_ip $AIRSEED_ADDRESS
    unicast_peer {
$peers
    }
$track    virtual_ipaddress {
        $address dev $CARD
    }
    track_script {
        api_server
        member
    }
}
CONF
}
