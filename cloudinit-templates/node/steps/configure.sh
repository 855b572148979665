#!/bin/bash
# Give this node the settings that cluster.yaml has now, as kubeadm makes them; what comes out as it is
# already is left alone.
# seed: none has it; the script of a change brings it
# reads: NODE PARTS
# uses: ROLE PLANES KUBEADM_FILES RUNTIME ADDRESS CNI IMAGES SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values aside certificates pods ready role
load_environment

# all that kubeadm does but write what kubelet and the control plane's programs start with
readonly AROUND=preflight,certs,kubeconfig,wait-control-plane,upload-config,upload-certs,mark-control-plane,bootstrap-token,addon

# Tell whether the change is about PART.
is_about() { [[ " $AIRSEED_PARTS " == *" $1 "* ]]; }

# Have kubeadm write what this node would start with if it were made today, and set MADE to where that is. It
# ends with an error, since it misses in the end what it was told to skip.
make_settings() {
    local file around=$AROUND
    rm -rf "$ASIDE/tmp"
    # newer ones end at once where this one is asked for, and what it shows is not there
    [[ $(kubeadm init phase --help 2>/dev/null) != *show-join-command* ]] || around=$around,show-join-command
    # an authority without its key, as a worker has it, is one that kubeadm wants all certificates of
    is_control_plane || rm -f "$ASIDE/pki/ca.crt"
    aside init --dry-run --skip-phases="$around" || true
    for file in "$ASIDE"/tmp/kubeadm-init-dryrun*/kubeadm-flags.env; do MADE=${file%/*}; done
    [ -s "$MADE/kubeadm-flags.env" ] && [ -s "$MADE/config.yaml" ] || kubeadm_failed "kubeadm does not take the new settings"
}

names_in() { openssl x509 -noout -text -in "$1" | sed -n '/Subject Alternative Name/{n;p;}' | tr -d ' ' | tr ',' '\n' | sort; }

# The API server reads its certificate again by itself, within a minute.
configure_certificate() {
    rm -f "$ASIDE"/pki/apiserver.{crt,key}
    aside init phase certs apiserver || kubeadm_failed "kubeadm can't make the API server's certificate"
    if [ "$(names_in "$ASIDE/pki/apiserver.crt")" != "$(names_in "$PKI/apiserver.crt")" ] || ! is_pair "$PKI/apiserver.crt" "$PKI/apiserver.key"; then
        take "$PKI/apiserver.key"
        take "$PKI/apiserver.crt"
    fi
    wait_until "the API server to show its new certificate" "${AIRSEED_SHOW_PATIENCE:-150}" shows 6443 "$PKI/apiserver.crt" ||
        note_change kube-apiserver
}

# Which members etcd has stays as it is: kubeadm knows of this one alone.
keep_members() {
    KEPT=$(grep -E '^ *- --initial-cluster(-state)?=' "$MANIFESTS/etcd.yaml") awk '
        /^ *- --initial-cluster(-state)?=/ { next }
        { print }
        /^ *- --initial-advertise-peer-urls=/ { print ENVIRON["KEPT"] }' "$1"
}

configure_pod() {
    local name=$1 file=$MANIFESTS/$1.yaml made=$MADE/$1.yaml before=$STATE/before-$1
    is_manifest "$made" || kubeadm_failed "kubeadm made no manifest of $name"
    # what ran before the first try at this, and by what
    is_changed "$name.yaml" || { container_of "$name" >"$before" && put "$before.yaml" 0600 <"$file"; }
    if [ "$name" = etcd ]; then keep_members "$made"; else cat "$made"; fi | put_noting "$name.yaml" "$file" 0600
    if is_changed "$name.yaml"; then
        say "$name has new settings"
        (await_container "$name" "$(cat "$before" 2>/dev/null)") || take_back "$name"
        settled "$name.yaml"
    fi
    rm -f "$before" "$before.yaml"
}

# Let NAME run as it did: with settings that it does not take nobody is to be without it.
take_back() {
    local before=$STATE/before-$1 why
    why=$(head -n 1 "$REASON")
    is_manifest "$before.yaml" || exit 1
    put "$MANIFESTS/$1.yaml" 0600 <"$before.yaml"
    settled "$1.yaml"
    rm -f "$before" "$before.yaml"
    wait_until "this node's API server to answer as before" "${AIRSEED_POD_PATIENCE:-300}" own_api_is_healthy || true
    fail "$why; it has its settings of before again" \
        "does it take what cluster.yaml says, and is each file that this names on the machine? mend that, and airseed changes --write --instead; or run this again" "$HOPELESS"
}

# kubeadm gives some taints to kubelet only where a worker joins.
kubelet_flags() {
    local joined
    joined=$(grep -oE -- '--register-with-taints=[^" ]+' "$KUBELET/kubeadm-flags.env") || joined=''
    if [ -z "$joined" ] || grep -q -- --register-with-taints= "$MADE/kubeadm-flags.env"; then
        cat "$MADE/kubeadm-flags.env"
        return
    fi
    sed -e 's/^KUBELET_KUBEADM_ARGS="//' -e 's/"$//' "$MADE/kubeadm-flags.env" | tr ' ' '\n' | { cat && printf '%s\n' "$joined"; } |
        sort | tr '\n' ' ' | sed -e 's/^/KUBELET_KUBEADM_ARGS="/' -e 's/ $/"\n/'
}

configure_kubelet() {
    local file
    kubelet_flags | put_noting kubelet "$KUBELET/kubeadm-flags.env" 0644
    for file in config.yaml instance-config.yaml; do
        [ ! -s "$MADE/$file" ] || put_noting kubelet "$KUBELET/$file" 0644 <"$MADE/$file"
    done
    is_changed kubelet || return 0
    say "kubelet has new settings"
    systemctl restart kubelet.service
    await_ready
    settled kubelet
}

proxies() { as_admin -n kube-system get configmap kube-proxy -o 'jsonpath={.data.config\.conf}{.data.kubeconfig\.conf}' | sha256sum; }

proxies_are_new() { as_admin -n kube-system rollout status daemonset kube-proxy --watch=false 2>/dev/null | grep 'successfully rolled out' >/dev/null; }

configure_proxies() {
    [ -s "$STATE/proxies" ] || proxies | put "$STATE/proxies" 0600
    run_phase init phase addon kube-proxy || kubeadm_failed "kubeadm can't write kube-proxy's settings"
    if [ "$(proxies)" != "$(cat "$STATE/proxies")" ]; then
        say "kube-proxy has new settings"
        as_admin -n kube-system rollout restart daemonset kube-proxy
        wait_until "kube-proxy to start again on all nodes" "${AIRSEED_ROLLOUT_PATIENCE:-1800}" proxies_are_new ||
            fail "kube-proxy does not come up again on all nodes" "kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide"
    fi
    rm -f "$STATE/proxies"
}

MADE=''
is_first=''
[ "$AIRSEED_NODE" != "${AIRSEED_PLANES%% *}" ] || is_first=1
[ -n "$AIRSEED_PARTS$is_first" ] || exit 0
lay_aside
for part in $AIRSEED_PARTS; do
    case $part in certificate | kube-proxy) ;; *) [ -n "$MADE" ] || make_settings ;; esac
done
if is_control_plane; then
    ! is_about certificate || configure_certificate
    for name in $PODS; do ! is_about "${name#kube-}" || configure_pod "$name"; done
    restart_pods
fi
! is_about kubelet || configure_kubelet
if [ -n "$is_first" ]; then
    # whoever joins from now on, and kubeadm itself, goes by it
    run_phase init phase upload-config all || kubeadm_failed "kubeadm can't upload the new settings"
    ! is_about kube-proxy || configure_proxies
fi
