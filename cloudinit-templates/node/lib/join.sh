#!/bin/bash
# Joining: a worker may begin again; a control plane only goes forward once it is a member of etcd.
# Sourced.

need api lease etcd kubeadm registry

# static pods of the user's; what is kubeadm's own in their folder would be a leftover
readonly BESIDE=DirAvailable--etc-kubernetes-manifests

# Wait for the first control plane. It may be switched on much later; each hour it is said how it stands.
wait_for_cluster() {
    local begun
    begun=$(clock)
    until api_knows_us; do
        [ $(($(clock) - begun)) -lt "${AIRSEED_CLUSTER_PATIENCE:-3600}" ] ||
            fail "the API server at $AIRSEED_ENDPOINT does not let this node in: HTTP $API_CODE, curl $API_TROUBLE" \
                "what does airseed-status say on the first control plane? is that reached from here: curl -k https://$AIRSEED_ENDPOINT/version"
        case $API_CODE in
        # for a moment also with a young cluster
        401) waiting "the cluster at $AIRSEED_ENDPOINT to know this seed's token: if it goes on, the token has expired (airseed secrets --rotate token, airseed seeds --node $AIRSEED_NODE, and the command that it prints)" ;;
        *) waiting "the first control plane to answer at $AIRSEED_ENDPOINT$(who_answers)" ;;
        esac
        sleep "${AIRSEED_JOIN_POLL:-2}"
    done
    waited
}

# Print what whoever is at the endpoint says, where it is not silence.
who_answers() {
    case $API_CODE:$API_TROUBLE in 000:0 | 000:7 | 000:28) ;; *) printf ' (HTTP %s, curl %s)' "$API_CODE" "$API_TROUBLE" ;; esac
}

# A Node of our name that is Ready makes kubeadm refuse; the old one needs about 40 s to be NotReady.
wait_for_name() {
    wait_until "the old Node $AIRSEED_NODE to be NotReady" "${AIRSEED_NAME_PATIENCE:-90}" name_is_free ||
        fail "a Node named $AIRSEED_NODE is Ready in the cluster" \
            "another machine has this name: give this one another, or stop that one and kubectl delete node $AIRSEED_NODE"
}

# Forget an unfinished join.
reset() {
    say "beginning the join again"
    unmake
    place_credentials
}

# Tell whether a join was begun: the user's own files in the same folders say nothing of it.
leftovers() { [ -n "$(kubeadm_files)" ] || etcd_has_data; }

node_is_known() {
    as_node get node "$AIRSEED_NODE" >/dev/null 2>&1
}

# Read out that a kubelet that has its certificate has joined: there is nothing to begin again.
worker_is_in() {
    kubelet_is_configured || return 1
    start_kubelet
    wait_until "this node to be known to the cluster" "${AIRSEED_KNOWN_PATIENCE:-120}" node_is_known
}

join_worker() {
    ! is_stamped joined || return 0
    if ! worker_is_in; then
        wait_for_cluster
        claim_machine_id
        ! leftovers || reset
        wait_for_name
        run_kubeadm "$BESIDE" join || kubeadm_failed "kubeadm join failed"
    fi
    stamp_durably joined
}

join_control_plane() {
    ! is_stamped joined || return 0
    # a power cut may have torn the stamp; etcd's data say the same
    if [ -e "$STAMPS/member" ] || etcd_has_data; then
        go_forward_or_back
    else
        prepare_and_join
    fi
    stamp_durably joined
}

# Three legs, so that all that the next one needs is on disk before it starts.
prepare_and_join() {
    wait_for_cluster
    claim_machine_id
    ! leftovers || reset
    wait_for_name
    wait_for_certificates
    run_kubeadm "$BESIDE" join --skip-phases=check-etcd,kubelet-start,control-plane-join || kubeadm_failed "kubeadm join failed while preparing"
    lease_get control-plane-join
    remember_peers || fail "the cluster's configuration and its members of etcd can't be read (HTTP $API_CODE)" ''
    run_kubeadm '' join --skip-phases=preflight,control-plane-prepare,control-plane-join || kubeadm_failed "kubeadm join failed while starting kubelet"
    write_standby
    keep pki manifests admin.conf controller-manager.conf scheduler.conf kubelet.conf
    keep_kubelet
    # from here on this machine may be a member of etcd
    stamp_durably member
    run_kubeadm '' join --skip-phases=preflight,control-plane-prepare,check-etcd,kubelet-start || kubeadm_failed "kubeadm join failed while joining etcd"
    lease_release control-plane-join
}

# With uploaded certificates: until they are there, which the first node sees to.
wait_for_certificates() {
    grep -q 'certificateKey:' "$SEED" || return 0
    wait_until "the first node to upload the certificates" "${AIRSEED_CERTIFICATES_PATIENCE:-180}" certificates_are_there ||
        fail "the cluster has no uploaded certificates (Secret kubeadm-certs, HTTP $API_CODE)" \
            "the first node's window is closed: airseed secrets --rotate certificate-key, airseed seeds --node $AIRSEED_NODE, and the command that it prints"
}

certificates_are_there() {
    api GET /api/v1/namespaces/kube-system/secrets/kubeadm-certs
    # they are encrypted, but not for this disk
    rm -f "$API_BODY"
    [ "$API_CODE" = 200 ]
}

# After "member add" a one-member etcd has no quorum until this very machine starts its own: going
# back would need what only going forward brings.
go_forward_or_back() {
    local members='' known=''
    mend_files
    if members=$(etcd_members); then
        known=1
        printf '%s\n' "$members" | sed 's/^/member of etcd: /'
    fi
    if is_manifest "$MANIFESTS/etcd.yaml"; then
        go_forward
        return
    fi
    # kubelet ends an etcd without quorum again and again, and then it answers nobody; with its data
    # here ours needs no list, which counts at a first start alone
    if [ -z "$known" ] && etcd_has_data; then
        say "this machine has etcd's data without a manifest: writing it"
        printf -- '- %s %s -\n' "$AIRSEED_NODE" "$(our_peer_url)" | write_etcd_manifest
        go_forward
        return
    fi
    if [ -z "$known" ]; then
        fail "no other control plane's etcd answers ($(tr '\n' ' ' <"$ETCD_PEERS"))" \
            "this machine may be a member of etcd already, so it must not begin again: start the other control planes"
    fi
    if printf '%s\n' "$members" | awk '{ print $3 }' | grep -qxF "$(our_peer_url)"; then
        say "this machine is a member of etcd without a manifest: writing it"
        printf '%s\n' "$members" | write_etcd_manifest
        go_forward
        return
    fi
    etcd_has_quorum || fail "etcd has no quorum" "start the other control planes; this one is not a member and waits"
    # the stamp first: the reset takes the certificates with which a member would ask for its peers
    unstamp member
    rm -rf "${R}/var/lib/etcd/member"
    sync
    reset
    prepare_and_join
}

# Start what is here, and do what kubeadm would have done after it.
go_forward() {
    local name phase known
    for name in ${PODS#etcd }; do
        is_manifest "$MANIFESTS/$name.yaml" || put_back "$KEEP/manifests/$name.yaml" "$MANIFESTS/$name.yaml"
    done
    start_kubelet
    wait_until "this node's etcd and API server to come up" "${AIRSEED_FORWARD_PATIENCE:-300}" own_api_is_healthy ||
        fail_saying "this node's API server does not come up" \
            "it is a member of etcd and can't go back: journalctl -u kubelet and the containers' logs tell more; the other control planes must run"
    # later versions have no update-status
    known=$(kubeadm join phase control-plane-join --help)
    for phase in update-status mark-control-plane; do
        [[ $known == *" $phase "* ]] || continue
        run_phase join phase control-plane-join "$phase" || kubeadm_failed "kubeadm join phase $phase failed"
    done
    if learn_authority; then lease_release control-plane-join; fi
}
