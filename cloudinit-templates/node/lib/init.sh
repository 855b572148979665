#!/bin/bash
# The first control plane: never a second cluster, and never back once others may have joined.
# Sourced.

need tls api kubeadm runtime

# among them what goes to the endpoint, where somebody else may answer yet
readonly PHASES_AFTER=upload-config,upload-certs,mark-control-plane,bootstrap-token,addon
readonly PHASES_BEFORE=preflight,certs,kubeconfig,kubelet-start,control-plane,etcd

etcd_has_data() { [ -d "$R/var/lib/etcd/member" ]; }

# Print what answers for this cluster: "proof TEXT" where only this cluster can have said it, "port
# TEXT" where anybody may be behind it. All are asked at once: silence takes seconds.
signs_of_life() {
    local host ours=" $AIRSEED_ADDRESSES $AIRSEED_ADDRESS 127.0.0.1 ::1 $AIRSEED_NODE "
    peers_live &
    host=$(host_of "$AIRSEED_ENDPOINT")
    [ -z "$host" ] || [[ $ours == *" $host "* ]] || api_lives "$host" "${AIRSEED_ENDPOINT##*:}" &
    wait
}

# Print the same of the other control planes.
peers_live() {
    local peer
    for peer in $AIRSEED_PEERS; do
        api_lives "$peer" 6443 &
        port_speaks "$peer" 2380 etcd &
        port_speaks "$peer" 10250 kubelet &
    done
    wait
}

# Our authority's signature is the proof; where it was made on a node, an API server is one too many. One whose time
# is over, or has not come by a clock that is behind, was ours at some time: it is looked into before anything begins.
api_lives() {
    local ours=$ETC/pki/ca.crt
    if [ ! -s "$ours" ]; then
        ! is_api_server "$1" "$2" || printf 'proof an API server answers at %s:%s\n' "$1" "$2"
    elif shows_our_authority "$1" "$2" "$ours"; then
        printf 'proof an API server of this cluster answers at %s:%s\n' "$1" "$2"
    elif shows_ours_out_of_time "$1" "$2" "$ours"; then
        printf 'port %s:%s (a certificate of this cluster, not valid now)\n' "$1" "$2"
    fi
}

# etcd's authority is made on the first node and kubelet signs for itself, so their ports prove nothing;
# but nothing else should be there on a declared control plane.
port_speaks() { ! speaks_tls "$1" "$2" || printf 'port %s:%s (%s)\n' "$1" "$2" "$3"; }

# What was seen to live is the cluster of this authority, or else of this token, and no other.
lives_key() {
    local digest
    digest=$(if [ -s "$ETC/pki/ca.crt" ]; then cat "$ETC/pki/ca.crt"; else token; fi | sha256sum)
    printf '%s' "${digest%% *}"
}

# Refuse to make a second cluster, by LOOK. The last look comes before others act on what this node says: nobody can
# have joined it yet.
guard() {
    local seen
    seen=$(look_for_life "${1:-signs_of_life}") || give_up
    [ -n "$seen" ] || return 0
    remember_life "$seen"
    withdraw
    refuse "$seen"
}

remember_life() {
    printf '%s (%s)\n' "${1//$'\n'/; }" "$(date -u)" | put "$STATE/lives" 0644
    stamp_durably lives "$(lives_key)"
}

# Print what proves by LOOK that this cluster lives. Where all were powered on together, a cluster needs
# a moment until it does. Ports without a proof are waited for: what they are shows, or they go away.
look_for_life() {
    local look=$1 seen proofs ports begun
    begun=$(clock)
    while :; do
        seen=$("$look")
        proofs=$(sed -n 's/^proof //p' <<<"$seen")
        ports=$(sed -n 's/^port //p' <<<"$seen" | sort)
        [ -z "$proofs" ] || break
        if [ -n "$ports" ]; then
            ports=${ports//$'\n'/, }
            waiting "what speaks TLS at $ports to prove that this cluster lives already, or to go away" >&2
            [ $(($(clock) - begun)) -lt "${AIRSEED_PORT_PATIENCE:-300}" ] ||
                fail "TLS is spoken at $ports, but nothing proves that this cluster lives there" \
                    "is another control plane running? then start its API server, or let this machine join it; else stop what listens there (ss -ltnp); init goes on when it is gone" >&2
        else
            [ -n "$AIRSEED_PEERS" ] && [ "$(clock)" -lt "${AIRSEED_GUARD_PATIENCE:-60}" ] || break
            waiting "a sign that this cluster lives already, till ${AIRSEED_GUARD_PATIENCE:-60} s after power-on" >&2
        fi
        sleep 1
    done
    waited
    printf '%s' "$proofs"
}

# Take back what this machine has begun. Whatever remains could act in the cluster that lives.
withdraw() {
    systemctl disable kubelet.service || true
    clear_control_plane
    remove_kubeadm_files
    rm -rf "${KEEP:?}"
}

# What was begun here must not go on beside what may live there; the next try begins anew.
give_up() {
    withdraw
    exit 1
}

refuse() {
    local hint
    hint="let this machine join instead: in cluster.yaml put another control plane above $AIRSEED_NODE; on one that runs, kubectl delete node $AIRSEED_NODE and etcdctl member remove what it was; then airseed secrets --rotate token --rotate certificate-key, airseed seeds --node $AIRSEED_NODE, its admit.sh, and an empty disk for this machine"
    [ "$(host_of "$AIRSEED_ENDPOINT")" != "$AIRSEED_ADDRESS" ] ||
        hint="$hint; since its address is the cluster's endpoint, one that runs has to take that over, and this machine needs another"
    fail "this cluster lives already, so kubeadm init will not run here: ${1//$'\n'/; }" "$hint"
}

# The seed's authority goes to kubeadm's place. Its copy in the seed stays until the point of no
# return: kubeadm reset, or a power cut, can destroy the other.
place_authority() {
    local file path
    [ -d "$ETC/pki" ] || return 0
    while IFS= read -r file; do
        path=${file#"$ETC"/pki/}
        case $path in
        *.crt) is_certificate "$file" ;;
        *.key) is_key "$file" ;;
        *) true ;;
        esac || fail "$file is damaged" "render the seed again"
        if [ ! -f "$PKI/$path" ] || ! is_whole "$PKI/$path"; then
            case $path in *.key) put "$PKI/$path" 0600 <"$file" ;; *) put "$PKI/$path" 0644 <"$file" ;; esac
        fi
    done < <(find "$ETC/pki" -type f)
    if [ -f "$PKI/ca.key" ]; then
        is_pair "$PKI/ca.crt" "$PKI/ca.key" || fail "the authority's certificate and key do not belong together" \
            "render the seed again"
    fi
}

# The namespace in which nodes agree on who joins next, open to whoever has the bootstrap token. Its
# annotation is for admit.sh, which would upload certificates by another key.
open_agreement() {
    local window=closed
    ! grep -q '^certificateKey:' "$SEED" || window=open
    as_admin apply -f - <<YAML
apiVersion: v1
kind: Namespace
metadata:
  name: airseed
  annotations:
    airseed-window: $window
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: join
  namespace: airseed
rules:
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: join
  namespace: airseed
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: join
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:bootstrappers:kubeadm:default-node-token
---
# this machine's ID is taken, see claim_machine_id
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: machine-$(tr -d '\n' <"$R/etc/machine-id")
  namespace: airseed
spec:
  holderIdentity: $AIRSEED_NODE
YAML
}

# An etcd that a power cut broke may be thrown away while nobody can have joined, never later.
start_afresh() {
    say "etcd does not start, and nobody can have joined yet: beginning with an empty one"
    clear_control_plane
}

clear_control_plane() {
    systemctl stop kubelet.service
    remove_kubeadm_files manifests
    stop_pods
    rm -rf "${R}/var/lib/etcd/member"
}

# Make all certificates and copy them away, before anything runs with them. If that was cut off,
# nothing did: it is made again from the seed's authority.
make_certificates() {
    if [ ! -d "$KEEP/pki" ] && is_stamped certificates && ! etcd_has_data && ! is_stamped no-return; then
        remove_kubeadm_files pki
        place_authority
    fi
    mend_files
    stamp certificates
    run_phase init phase certs all || kubeadm_failed "kubeadm init phase certs failed"
    keep pki
}

# Bring the control plane of this node up, up to where others could join.
start_control_plane() {
    local ignore='' code=0 begun
    if etcd_has_data || [ -e "$MANIFESTS/etcd.yaml" ]; then
        ignore=$RESUME
        say "going on with what is here already"
    fi
    make_certificates
    begun=$(clock)
    run_kubeadm "$ignore" init --skip-token-print --skip-certificate-key-print --skip-phases="$PHASES_AFTER" || code=$?
    [ "$code" -ne 0 ] || return 0
    # two long waits in vain are enough, or one word of etcd
    if [ -n "$ignore" ] && ! is_stamped no-return && {
        state_is_torn etcd "$(container_says etcd)" ||
            { [ $(($(clock) - begun)) -gt 60 ] && [ "${AIRSEED_NOW_ATTEMPT:-1}" -gt 2 ]; }
    }; then start_afresh; fi
    kubeadm_failed "kubeadm init failed"
}

# Open the door: from here on others act on what this node says.
admit_others() {
    local upload=''
    open_agreement
    # who reads this stamp after a power cut must know that others may have joined
    stamp_durably no-return
    ! grep -q '^certificateKey:' "$SEED" || upload=--upload-certs
    [ -f "$STATE/window-began" ] || now | put "$STATE/window-began" 0644
    run_kubeadm "$RESUME" init ${upload:+"$upload"} --skip-token-print --skip-certificate-key-print --skip-phases="$PHASES_BEFORE" ||
        kubeadm_failed "kubeadm init failed in its last phases"
}

# It may answer here, and somebody else at the endpoint.
no_answer() {
    own_api_is_healthy || fail_saying "the API server does not answer" "journalctl -u kubelet, docker ps -a"
    fail "the API server answers here, but not at $AIRSEED_ENDPOINT: $(as_admin get --raw /healthz 2>&1)" \
        "whom does that lead to? curl -k https://$AIRSEED_ENDPOINT/version"
}

initialise() {
    ! is_stamped joined || return 0
    # once is enough: it may be down the next time
    if is_stamped lives "$(lives_key)" && ! is_stamped no-return; then
        withdraw
        refuse "it was seen alive before: $(cat "$STATE/lives" 2>/dev/null); remove $STAMPS/lives if you are sure that it is gone for ever"
    fi
    if etcd_has_data && ! is_stamped no-return && state_is_torn etcd; then start_afresh; fi
    etcd_has_data || is_stamped no-return || guard
    if is_stamped no-return && ! etcd_has_data; then
        fail "etcd's data are gone, and others may have joined this cluster already" \
            "never init again; restore /var/lib/etcd, or take this node out of the cluster and let it join"
    fi
    place_authority
    if ! { manifests_are_whole && kubelet_is_configured &&
        is_kubeconfig "$ADMIN" && own_api_is_healthy; }; then
        start_control_plane
    fi
    wait_until "the API server to answer" 120 api_is_healthy || no_answer
    is_stamped no-return || guard peers_live
    admit_others
    stamp_durably joined
}
