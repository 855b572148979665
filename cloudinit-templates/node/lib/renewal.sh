#!/bin/bash
# Renewing certificates: a control plane's by kubeadm, a worker's kubelet by a token. Sourced.
#
# seed: none has it; the script of a change brings it

need api aside certificates pods role why

BOOTSTRAP=$KUBERNETES/bootstrap-kubelet.conf
CLIENT=$KUBELET/pki/kubelet-client-current.pem

# Print which static pod works with the certificate NAME.
pod_of() {
    case $1 in
    etcd-*) printf 'etcd' ;;
    apiserver* | front-proxy-client) printf 'kube-apiserver' ;;
    controller-manager.conf) printf 'kube-controller-manager' ;;
    scheduler.conf) printf 'kube-scheduler' ;;
    esac
}

# An authority that ends takes with it whatever it signs.
check_authorities() {
    local name file
    certificates | while read -r name file; do
        case $name in *ca) ;; *) continue ;; esac
        ! ends_within "$file" "$AIRSEED_RENEW" ||
            fail "the authority $name ends itself: $(openssl x509 -noout -enddate -in "$file")" \
                "is it really $(date -u) now? else set the clock; nothing that it signs lasts longer, and every node believes it alone: see Kubernetes' manual rotation of CA certificates"
    done
}

# Make anew what ends within SECONDS of kubeadm's certificates on a control plane; nothing of it counts until
# all is made.
renew_files() {
    local list name file alpha='' pod
    list=$(due "$1" | grep -v '^kubelet-') || return 0
    case $AIRSEED_KUBERNETES in 1.18.* | 1.19.*) alpha=alpha ;; esac
    [ -s "$PKI/ca.key" ] || fail "$PKI/ca.key is missing: this node can't sign certificates" "renew them where the authority's key is, and copy them here"
    lay_aside
    while read -r name _; do
        aside ${alpha:+"$alpha"} certs renew "$name" </dev/null || kubeadm_failed "kubeadm can't renew $name"
    done <<<"$list"
    while read -r name file; do
        pod=$(pod_of "$name")
        [ -z "$pod" ] || note_change "$pod"
        [ "$file" = "${file%.crt}" ] || take "${file%.crt}.key"
        take "$file"
        say "renewed $name"
    done <<<"$list"
    is_users "$R/root/.kube/config" || put "$R/root/.kube/config" 0600 <"$ADMIN"
}

# Make kubelet's client certificate anew with the authority's key: on a control plane nobody else might answer.
sign_kubelet() {
    local fresh file
    lay_aside
    rm -f "$ASIDE/kubelet.conf"
    aside init phase kubeconfig kubelet || kubeadm_failed "kubeadm can't make kubelet's certificate"
    file=kubelet-client-$(date -u +%Y-%m-%d-%H-%M-%S).pem
    fresh=$ASIDE/kubelet.conf
    {
        certificate_of "$fresh"
        sed -n 's/^ *client-key-data: *//p' "$fresh" | base64 -d
    } | put "$KUBELET/pki/$file" 0600
    ln -sfn "$file" "$KUBELET/pki/.airseed-new"
    mv -fT "$KUBELET/pki/.airseed-new" "$CLIENT"
    # what it was before kubeadm 1.18
    grep -q 'client-certificate: ' "$KUBERNETES/kubelet.conf" 2>/dev/null || take "$KUBERNETES/kubelet.conf"
    say "renewed kubelet's client certificate"
}

kubelet_is_signed() { [ -s "$CLIENT" ] && ! ends_within "$CLIENT" 0 && [ -s "$KUBERNETES/kubelet.conf" ]; }

# Have the cluster sign kubelet a new client certificate, by a token as at its first start.
bootstrap_kubelet() {
    local server old
    old=$(readlink "$CLIENT") || old=''
    server=$(sed -n 's/^ *server: *//p' "$KUBERNETES/kubelet.conf" "$BOOTSTRAP" 2>/dev/null | head -n 1) || true
    put "$BOOTSTRAP" 0600 <<YAML
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster: {certificate-authority: /etc/kubernetes/pki/ca.crt, server: "$server"}
users:
- name: bootstrap
  user: {token: "$(token)"}
contexts:
- name: bootstrap
  context: {cluster: kubernetes, user: bootstrap}
current-context: bootstrap
YAML
    # as long as it has one that counts, kubelet asks for no other
    [ ! -e "$KUBERNETES/kubelet.conf" ] || mv -f "$KUBERNETES/kubelet.conf" "$KUBERNETES/.kubelet.conf.airseed-old"
    rm -f "$CLIENT"
    systemctl restart kubelet.service
    if ! wait_until "the cluster to sign this kubelet's new certificate" "${AIRSEED_CLUSTER_PATIENCE:-3600}" kubelet_is_signed; then
        # better the old one than none
        [ -e "$CLIENT" ] || [ -z "$old" ] || ln -sfn "$old" "$CLIENT"
        [ -e "$KUBERNETES/kubelet.conf" ] || [ ! -e "$KUBERNETES/.kubelet.conf.airseed-old" ] || mv -f "$KUBERNETES/.kubelet.conf.airseed-old" "$KUBERNETES/kubelet.conf"
        fail_saying "the cluster signs this kubelet no certificate" \
            "are the control planes repaired, and does kubectl get csr show a request of $AIRSEED_NODE? the token lives for a day from the control planes' own renewal on"
    fi
    rm -f "$BOOTSTRAP" "$KUBERNETES/.kubelet.conf.airseed-old"
    say "renewed kubelet's client certificate"
}

# Renew kubelet's own, where they end within SECONDS.
renew_kubelet() {
    local server=$KUBELET/pki/kubelet.crt ends
    ends=$(due "$1")
    if [[ $ends == *kubelet-server\ "$server"* ]]; then
        # it signs this one itself, when there is none
        note_change kubelet
        rm -f "$server" "${server%.crt}.key"
        say "renewed kubelet's own serving certificate"
    fi
    if [ -e "$BOOTSTRAP" ] || [ ! -s "$CLIENT" ] || [[ $ends == *kubelet-client* ]]; then
        note_change kubelet
        if is_control_plane; then sign_kubelet; else bootstrap_kubelet; fi
    fi
    is_changed kubelet || return 0
    systemctl restart kubelet.service
    settled kubelet
}

# Let kubelets in that have to ask by the token; kubeadm gives it the life that the seed's has.
admit_kubelets() {
    # the endpoint may lead to a control plane that is not repaired yet
    wait_until "an API server to answer at $AIRSEED_ENDPOINT" "${AIRSEED_CLUSTER_PATIENCE:-3600}" api_is_healthy ||
        fail_saying "no API server answers at $AIRSEED_ENDPOINT" "run the scripts of the other control planes, too: the endpoint leads to one of them"
    run_phase init phase bootstrap-token --skip-token-print || kubeadm_failed "kubeadm can't write the token for kubelets"
}

# See that this node's servers show what lies on its disk.
prove_certificates() {
    local port file
    while read -r port file; do
        wait_until "port $port to show the new certificate" "${AIRSEED_SHOW_PATIENCE:-120}" shows "$port" "$PKI/$file" ||
            fail "what listens at port $port shows another certificate than $PKI/$file" "which program is it: ss -ltnp; end its container, and kubelet starts it again"
    done <<'TEXT'
6443 apiserver.crt
2379 etcd/server.crt
2380 etcd/peer.crt
TEXT
}
