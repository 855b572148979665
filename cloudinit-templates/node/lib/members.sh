#!/bin/bash
# A node that leaves, LEAVER, and the control plane that sees to it, HELPER. Sourced.
#
# They agree by the Lease leave-LEAVER, whose holder is "WORD CHANGE": "door" when the machine that leaves
# has let its pods go, "go" when etcd counts it no more, "gone" when its kubelet has stopped for good. A dead
# machine says nothing; then kubelet's silence does.
# seed: none has it; the script of a change brings it
# shellcheck disable=SC2153,SC2034 # API_CODE and API_BODY are two things; LEASE_* are for lease.sh

need json api lease etcd kubeadm

# Print the word that both have come to, "" where there is none yet; fail without an answer.
door() {
    local holder
    api GET "$LEASES/leave-$AIRSEED_LEAVER"
    case $API_CODE in
    200) ;;
    404) return 0 ;;
    *) return 1 ;;
    esac
    holder=$(json_field "$API_BODY" holderIdentity) || return 1
    [[ $holder != *" $AIRSEED_CHANGE" ]] || printf '%s' "${holder%% *}"
}

is_at_door() { [ "$(door)" = "$1" ]; }

# Say WORD to the other one.
say_at_door() {
    local done=0
    LEASE_HOLDS="$1 $AIRSEED_CHANGE" LEASE_LABELS=''
    lease_try "leave-$AIRSEED_LEAVER" || { [ -n "$LEASE_SEEN" ] && lease_replace "leave-$AIRSEED_LEAVER" "$LEASE_SEEN"; } || done=1
    LEASE_HOLDS=''
    return "$done"
}

# Where the cluster's endpoint is the machine that leaves, nobody answers there meanwhile: have what this
# machine itself asks there go to ADDRESS. It ends with the power, and with no_detour.
detour() {
    local rule address
    no_detour
    address=$(led_to "$(host_of "$AIRSEED_ENDPOINT")")
    [[ " $AIRSEED_LEAVER_ADDRESSES " == *" ${address:--} "* ]] || return 0
    rule="OUTPUT -d $address -p tcp --dport ${AIRSEED_ENDPOINT##*:} -j DNAT --to-destination $(bracketed "$1"):6443"
    printf '%s\n' "$rule" | put "$STATE/detour" 0644
    # shellcheck disable=SC2086 # several words
    "$(iptables_of "$rule")" -w -t nat -I $rule
}

# Print the address that a HOST leads to, here.
led_to() { case $1 in *:*) printf '%s' "$1" ;; *[!0-9.]*) getent ahosts "$1" 2>/dev/null | awk 'NR == 1 { print $1 }' ;; *) printf '%s' "$1" ;; esac; }

no_detour() {
    local rule
    [ -s "$STATE/detour" ] || return 0
    rule=$(cat "$STATE/detour")
    # shellcheck disable=SC2086
    while "$(iptables_of "$rule")" -w -t nat -D $rule 2>/dev/null; do :; done
    rm -f "$STATE/detour"
}

iptables_of() { case $1 in *:*:*) printf ip6tables ;; *) printf iptables ;; esac; }

remove_member() { etcd_ask "$AIRSEED_ADDRESS" /v3/cluster/member/remove "{\"ID\":\"$1\"}" >/dev/null; }

# Take the machine that leaves out of etcd. What is left must have a quorum before, and has it after.
expel_member() {
    local id name peer client ours='' left=0 live=0 silent='' url
    member_table "$AIRSEED_ADDRESS" >"$STATE/members" || fail "this node's etcd does not tell its members" "does it run? crictl ps or docker ps -a, and its log"
    etcd_reads "$AIRSEED_ADDRESS" || fail "etcd has no quorum, so no member can leave it" \
        "start the control planes that are down; when too many are lost for good: airseed changes --restore SNAPSHOT"
    while read -r id name peer client; do
        url=$(host_of "${peer#*://}")
        if [ "$name" = "$AIRSEED_LEAVER" ] || [[ " $AIRSEED_LEAVER_ADDRESSES " == *" $url "* ]]; then
            ours=$id
            continue
        fi
        left=$((left + 1))
        if [ "$client" != - ] && etcd_reads "$url"; then live=$((live + 1)); else silent="$silent $name ($url)"; fi
    done <"$STATE/members"
    [ -n "$ours" ] || return 0
    [ "$left" -gt 0 ] || fail "$AIRSEED_LEAVER is the only member of etcd: what the cluster knows would go with it" "let another control plane join first"
    [ "$live" -gt $((left / 2)) ] || fail "without $AIRSEED_LEAVER etcd would have $left members, of which $live answer: that is no quorum; silent:$silent" \
        "start those first, or, where they are dead for good, take them out by a change before this one; $AIRSEED_LEAVER stays a member until then"
    say "etcd: $live of the $left members that stay answer; removing $AIRSEED_LEAVER"
    # while one has been connected for less than five seconds, etcd refuses
    wait_until "etcd to let $AIRSEED_LEAVER go" 60 remove_member "$ours" || fail "etcd does not let $AIRSEED_LEAVER go" \
        "is one of its members about to start, or not in step? its log says more; it is tried again"
    wait_until "etcd to read without $AIRSEED_LEAVER" 120 etcd_reads "$AIRSEED_ADDRESS" || fail "etcd does not read after $AIRSEED_LEAVER was removed" "its log says why"
}

# Print what the API server says of the Node that leaves: True, False or Unknown; "" when there is none.
leaver_says() {
    local line
    line=$(as_admin get node "$AIRSEED_LEAVER" --ignore-not-found -o 'jsonpath={.metadata.name} {.status.conditions[?(@.type=="Ready")].status}') || return 1
    printf '%s' "${line#* }"
}

# Take what the API server has of the machine that left: its Node, its pods, its part in kubeadm's list of
# API servers (until 1.21), and the claim to its machine-id.
forget_leaver() {
    as_admin delete node "$AIRSEED_LEAVER" --ignore-not-found --wait=false || return 1
    as_admin delete pods --all-namespaces --field-selector "spec.nodeName=$AIRSEED_LEAVER" --force --grace-period=0 2>/dev/null || return 1
    forget_api_server "$AIRSEED_LEAVER" || return 1
    as_admin -n airseed get leases -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}' |
        awk -v holder="$AIRSEED_LEAVER" '$1 ~ /^machine-/ && $2 == holder { print $1 }' | while read -r name; do
        as_admin -n airseed delete lease "$name" --ignore-not-found
    done
}

# Take NAMES out of kubeadm's list of API servers, where it has one.
forget_api_server() {
    local before after
    before=$(as_admin -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterStatus}') || return 1
    [ -n "$before" ] || return 0
    after=$(printf '%s\n' "$before" | awk -v names=" $* " '
        /^  [^ ]/ { name = $1; sub(/:$/, "", name); gsub(/"/, "", name); skip = index(names, " " name " ") }
        /^[^ ]/ { skip = 0 }
        !skip { print }')
    [ "$before" != "$after" ] || return 0
    patch_map kube-system kubeadm-config ClusterStatus "$after"
}

# Take off this machine what made it a node: all that is kubeadm's and of network plugins, nothing of the user's.
shed() {
    local card file
    say "taking off what made this machine a node"
    # etcd counts it no more, and kubeadm would look for its member for most of a minute
    unmake --skip-phases=remove-etcd-member
    rm -rf "$KUBELET/pki" "$R/var/lib/etcd/member" "$R/var/lib/cni" "$R/run/flannel"
    for file in "$R"/etc/cni/net.d/*; do
        [ ! -f "$file" ] || is_users "$file" || rm -f "$file"
    done
    for card in $(ip -o link show | sed -n -E 's/^[0-9]+: (cni0|flannel[^@:]*|vxlan\.calico|kube-ipvs0|cali[^@:]*)[@:].*/\1/p'); do
        ip link delete "$card" 2>/dev/null || true
    done
}
