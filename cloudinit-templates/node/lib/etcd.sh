#!/bin/bash
# Ask the etcd of other control planes, over its own JSON gateway. Sourced.
#
# The list of members is answered from memory, so that it is there even when there is no quorum.

need json tls api kubeadm

ETCD_PEERS=$STATE/etcd-peers
STANDBY=$STATE/etcd.yaml.standby

our_peer_url() { printf 'https://%s:2380' "$(bracketed "$AIRSEED_ADDRESS")"; }

# Ask PATH of the etcd at ADDRESS with the JSON text BODY; print the answer.
etcd_ask() {
    if grep -qs '^-----BEGIN EC ' "$PKI/etcd/peer.key"; then etcd_ask_by_openssl "$@"; return; fi
    curl -q -s -f --connect-timeout 3 --max-time 10 --noproxy '*' --cacert "$PKI/etcd/ca.crt" --cert "$PKI/etcd/peer.crt" \
        --key "$PKI/etcd/peer.key" -X POST -d "$3" "https://$(bracketed "$1"):${AIRSEED_ETCD_PORT:-2379}$2" 2>/dev/null
}

# The same: curl of CentOS 7 goes by NSS, which takes no key on an elliptic curve.
etcd_ask_by_openssl() {
    local answer
    answer=$(printf 'POST %s HTTP/1.0\r\nHost: etcd\r\nContent-Length: %d\r\n\r\n%s' "$2" "${#3}" "$3" |
        SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/dev/null timeout 10 openssl s_client -quiet -verify 9 -verify_return_error -CAfile "$PKI/etcd/ca.crt" \
            -cert "$PKI/etcd/peer.crt" -key "$PKI/etcd/peer.key" -connect "$(bracketed "$1"):${AIRSEED_ETCD_PORT:-2379}" 2>/dev/null) || true
    [[ $answer == HTTP/1.?' 200 '* ]] && printf '%s' "${answer#*$'\r\n\r\n'}"
}

# Print "ID NAME PEER-URL CLIENT-URL" of the members that the etcd at ADDRESS knows; a dash for what one has
# not said yet: it has no name before it starts.
member_table() {
    local answer
    answer=$(etcd_ask "$1" /v3/cluster/member/list '{}') || return 1
    [[ $answer == *'"members"'* ]] || return 1
    printf '%s' "${answer#*\"members\"}" | tr -d ' \n' | sed 's/},{/}\n{/g' | awk '
        function text(pattern, skip) { return match($0, pattern) ? substr($0, RSTART + skip, RLENGTH - skip - 1) : "-" }
        { print text("\"ID\":\"[0-9]+\"", 6), text("\"name\":\"[^\"]+\"", 8), text("\"peerURLs\":\\[\"[^\"]+\"", 13),
            text("\"clientURLs\":\\[\"[^\"]+\"", 15) }'
}

# The same, from the first peer that answers; fail when none does.
etcd_members() {
    local peer
    while IFS= read -r peer; do ! member_table "$peer" || return 0; done <"$ETCD_PEERS"
    return 1
}

# Tell whether the etcd at ADDRESS has a quorum: a read goes through it.
etcd_reads() { etcd_ask "$1" /v3/kv/range '{"key":"AA==","limit":"1"}' >/dev/null; }

etcd_has_quorum() {
    local peer
    while IFS= read -r peer; do ! etcd_reads "$peer" || return 0; done <"$ETCD_PEERS"
    return 1
}

# Take off this machine what kubeadm made of it, and nothing of the user's; options are those of kubeadm reset,
# whose exit code says nothing: look at what is left.
unmake() {
    save_users_files
    timeout --foreground "${AIRSEED_RESET_PATIENCE:-300}" kubeadm reset -f --cri-socket "$AIRSEED_CRI_SOCKET" "$@" || true
    remove_kubeadm_files
    restore_users_files
    rm -rf "${KEEP:?}" "$STANDBY"
}

# Remember where the members of etcd are, while the API server can still tell: kubeadm writes it on
# their pods from 1.18 on, in ClusterStatus up to 1.21. The token may not read pods, but the first leg
# of the join has made the administrator's kubeconfig. An endpoint may be a load balancer, behind
# which is no etcd; it is asked last.
remember_peers() {
    local seen=$STATE/etcd-pods url
    api GET /api/v1/namespaces/kube-system/configmaps/kubeadm-config
    [ "$API_CODE" = 200 ] || return 1
    as_admin -n kube-system get pods -l component=etcd \
        -o 'jsonpath={range .items[*]}{.metadata.annotations.kubeadm\.kubernetes\.io/etcd\.advertise-client-urls}{"\n"}{end}' >"$seen" || return 1
    {
        while IFS= read -r url; do
            url=${url#*://}
            [ -z "$url" ] || { host_of "$url" && printf '\n'; }
        done <"$seen"
        json_field "$API_BODY" ClusterStatus | sed -n 's/^ *advertiseAddress: *//p' || true
        host_of "$AIRSEED_ENDPOINT"
        printf '\n'
    } | tr -d "\"'" | grep -vxF "$AIRSEED_ADDRESS" | awk '!seen[$0]++' | put "$ETCD_PEERS" 0644 || return 1
    rm -f "$seen"
    json_field "$API_BODY" ClusterConfiguration >"$STATE/cluster-configuration"
}

# Have kubeadm write the manifest that our etcd will need, beside the real one: when a power cut
# comes between "member add" and the manifest, nobody can be asked any more.
write_standby() {
    local scratch=$STATE/standby
    rm -rf "$scratch"
    mkdir -p "$scratch"
    {
        grep -m 1 '^apiVersion: kubeadm' "$SEED"
        printf 'kind: InitConfiguration\nlocalAPIEndpoint:\n  advertiseAddress: "%s"\n' "$AIRSEED_ADDRESS"
        printf 'nodeRegistration:\n  name: %s\n  criSocket: %s\n---\n' "$AIRSEED_NODE" "$AIRSEED_CRI_SOCKET"
        cat "$STATE/cluster-configuration"
    } >"$scratch/config"
    mkdir -p "$scratch/manifests"
    # the folder is fixed in kubeadm: give it another one under that name
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare -m "$BASH" -c 'mount --make-rprivate / && mount --bind "$1" "$2" && exec kubeadm init phase etcd local --config "$3"' \
        standby "$scratch/manifests" "$MANIFESTS" "$scratch/config" ||
        fail "kubeadm could not write etcd's manifest beforehand" "the lines above say why"
    is_manifest "$scratch/manifests/etcd.yaml" || fail "kubeadm wrote no whole manifest for etcd" "the lines above say why"
    put "$STANDBY" 0600 <"$scratch/manifests/etcd.yaml"
    rm -rf "$scratch"
}

# Write etcd's manifest from the list of members on standard input and the one kept beside.
write_etcd_manifest() {
    local name url cluster=''
    is_manifest "$STANDBY" || fail "$STANDBY is missing: etcd's manifest can't be made again" \
        "this machine is a member of etcd already: airseed-status tells what to do"
    while read -r _ name url _; do
        [ "$url" != "$(our_peer_url)" ] || name=$AIRSEED_NODE
        cluster="$cluster,$name=$url"
    done
    sed -e '/--initial-cluster-state=/d' \
        -e "s|^\( *- --initial-cluster=\).*|\1${cluster#,}|" "$STANDBY" | awk '
        { print }
        /^ *- --initial-cluster=/ { sub(/--initial-cluster=.*/, "--initial-cluster-state=existing"); print }' |
        put "$MANIFESTS/etcd.yaml" 0600
}
