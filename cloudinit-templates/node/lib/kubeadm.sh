#!/bin/bash
# What init and the joins have in common: running kubeadm, and keeping its files from harm. Sourced.
# shellcheck disable=SC2034 # RESUME is for init.sh

need json tls role owners why torn

# What kubeadm finds in its way when it goes on where it was cut off.
RESUME=$(
    printf 'FileAvailable--etc-kubernetes-%s,' manifests-{kube-apiserver,kube-controller-manager,kube-scheduler,etcd}.yaml \
        kubelet.conf bootstrap-kubelet.conf pki-ca.crt
    printf 'Port-%s,' 6443 2379 2380 10250 10251 10252 10257 10259
    printf 'DirAvailable--var-lib-etcd,DirAvailable--etc-kubernetes-manifests'
)
readonly RESUME
ADMIN=$KUBERNETES/admin.conf
KUBELET=$R/var/lib/kubelet

# The control plane's programs, in the order in which they need each other.
readonly PODS='etcd kube-apiserver kube-controller-manager kube-scheduler'

as_admin() { kubectl --kubeconfig "$ADMIN" --request-timeout=20s "$@"; }

# As kubelet, which may do much to its own node and pods and to no others.
as_node() { kubectl --kubeconfig "$KUBERNETES/kubelet.conf" --request-timeout=20s "$@"; }

# Give the KEY of a ConfigMap another TEXT.
patch_map() { as_admin -n "$1" patch configmap "$2" --type=merge -p "{\"data\":{\"$3\":$(json_string "$4")}}"; }

# Run kubeadm PHASES... with the seed, past the preflight checks named in IGNORE.
run_kubeadm() {
    local ignore=$1 skip=$AIRSEED_SKIP_PHASES word words=()
    shift
    # the argument outdoes what documents say, so the user's phases go with ours
    for word; do
        case $word in --skip-phases=*) skip=${word#*=}${skip:+,$skip} ;; *) words+=("$word") ;; esac
    done
    run_phase ${words[@]+"${words[@]}"} ${skip:+--skip-phases="$skip"} ${ignore:+--ignore-preflight-errors="$ignore"}
}

# Run one of kubeadm's phases alone, with the seed: they know no preflight.
run_phase() { run_bounded "$@" --config "$SEED"; }

# Run kubeadm. It waits for much, and not always with an end.
run_bounded() {
    local code=0 limit=${AIRSEED_KUBEADM_PATIENCE:-1200}
    working "kubeadm $1 to end"
    timeout --foreground "$limit" kubeadm "$@" || code=$?
    working ''
    [ "$code" -ne 124 ] || say "error: kubeadm $1 did not end within $limit s"
    return "$code"
}

# Give up after kubeadm failed: WHAT, and why this node does not come up, where kubeadm only saw that it
# does not.
kubeadm_failed() {
    local log=$LOGS/$AIRSEED_NOW_STEP.log said=''
    # its last lines are on their way there
    sleep 1
    if grep -qsE 'timed out waiting|deadline exceeded|did not end within|kubelet (is not|isn.t) (running|healthy)|etcd cluster is not healthy' "$log" &&
        ! grep -qsE '\[ERROR ' "$log"; then
        said=$(node_says)
    fi
    [ -n "$said" ] || fail "$1" ''
    fail "$1: $said" "that is what it said last: mend its cause; the rest is in journalctl -u kubelet and the containers' logs"
}

# Copy what must outlive a power cut, before anything follows from it.
keep() {
    local path
    (
        umask 077
        mkdir -p "$KEEP"
        for path; do
            [ -e "$KUBERNETES/$path" ] || continue
            mkdir -p "$KEEP/$(dirname "$path")"
            rm -rf "${KEEP:?}/$path.new"
            cp -a "$KUBERNETES/$path" "$KEEP/$path.new"
        done
        # the names only when the data are on disk
        sync
        for path; do
            [ -e "$KEEP/$path.new" ] || continue
            rm -rf "${KEEP:?}/$path.old"
            [ ! -e "$KEEP/$path" ] || mv "$KEEP/$path" "$KEEP/$path.old"
            mv "$KEEP/$path.new" "$KEEP/$path"
        done
        sync
        for path; do rm -rf "${KEEP:?}/$path.old"; done
    )
}

# Copy what makes kubelet this node's; kubeadm join can't make it a second time. It may be gone
# though nothing tore it: kubeadm reset unmounts /var/lib/kubelet, and the next start mounts it again.
keep_kubelet() {
    rm -rf "${KEEP:?}/kubelet" "$KEEP/kubelet.new"
    (umask 077 && mkdir -p "$KEEP/kubelet.new")
    cp -a "$KUBELET/config.yaml" "$KUBELET/kubeadm-flags.env" "$KUBELET/pki" "$KEEP/kubelet.new/"
    sync
    mv "$KEEP/kubelet.new" "$KEEP/kubelet"
}

# Put that back where it is gone. What kubelet can make itself must not be there torn: it would end at
# once, again and again.
mend_kubelet() {
    local file
    for file in "$KUBELET"/pki/*; do
        ! is_there "$file" || is_whole "$file" || { say "$file is damaged: it is made again" && rm -rf "$file"; }
    done
    [ -d "$KEEP/kubelet" ] || return 0
    mkdir -p "$KUBELET/pki"
    for file in config.yaml kubeadm-flags.env; do
        is_text "$KUBELET/$file" || put_back "$KEEP/kubelet/$file" "$KUBELET/$file"
    done
    is_certificate "$KUBELET/pki/kubelet-client-current.pem" || cp -a "$KEEP/kubelet/pki/." "$KUBELET/pki/"
}

# Tell whether a file that kubeadm made is whole, by its name.
is_whole() {
    case $1 in
    *.crt | *.pem) is_certificate "$1" ;;
    *.key) is_key "$1" ;;
    *.pub) is_public_key "$1" ;;
    */manifests/*.yaml) is_manifest "$1" ;;
    *.conf) is_kubeconfig "$1" ;;
    *) [ -f "$1" ] && [ -s "$1" ] ;;
    esac
}

# Put the COPY of a file in its place, whatever is there.
put_back() { { [ -f "$2" ] || rm -rf "$2"; } && cp -a "$1" "$2"; }

# Put back what a power cut emptied or tore: from the copies, else make kubeadm write it again.
mend_files() {
    local file path
    mend_kubelet
    # kubeadm writes them itself, but not over what a mount of the user's made of one
    kubeadm_files manifests | while IFS= read -r file; do [ ! -d "$file" ] || rm -rf "$file"; done
    while IFS= read -r file; do
        path=${file#"$KUBERNETES"/}
        ! is_whole "$file" || continue
        if [ -f "$KEEP/$path" ] && is_whole "$KEEP/$path"; then
            say "$file is damaged: taking the copy"
            put_back "$KEEP/$path" "$file"
        else
            say "$file is damaged: it is made again"
            rm -rf "$file"
            # one without the other would be refused
            case $file in *.crt) rm -f "${file%.crt}.key" ;; *.key) rm -f "${file%.key}.crt" "${file%.key}.pub" ;; *.pub) rm -f "${file%.pub}.key" ;; esac
        fi
    done < <(kubeadm_files | grep -v "^$MANIFESTS/" | sort)
    mend_pairs
    # what was lost altogether, or went as the other half of a pair
    [ -d "$KEEP/pki" ] || return 0
    while IFS= read -r file; do
        path=${file#"$KEEP"/}
        [ ! -e "$KUBERNETES/$path" ] || continue
        mkdir -p "$(dirname "$KUBERNETES/$path")"
        cp -a "$file" "$KUBERNETES/$path"
    done < <(find "$KEEP/pki" -type f | sort)
}

# Put back the manifests of this control plane that a power cut tore. The copies are those of before a
# change, or of what it has done so far.
mend_manifests() {
    local name file
    for name in $PODS; do
        file=$MANIFESTS/$name.yaml
        is_manifest "$file" || ! is_manifest "$KEEP/manifests/$name.yaml" || { say "$file is damaged: taking the copy" && put "$file" 0600 <"$KEEP/manifests/$name.yaml"; }
    done
}

# A certificate and a key that were renewed are of use together only.
mend_pairs() {
    local file name
    [ -d "$KEEP/pki" ] || return 0
    find "$KEEP/pki" -name '*.crt' | while IFS= read -r file; do
        name=${file#"$KEEP"/}
        name=${name%.crt}
        [ -f "$KEEP/$name.key" ] || continue
        ! is_pair "$KUBERNETES/$name.crt" "$KUBERNETES/$name.key" || continue
        say "$KUBERNETES/$name.crt and its key are not of one piece: taking the copies"
        put_back "$KEEP/$name.crt" "$KUBERNETES/$name.crt"
        put_back "$KEEP/$name.key" "$KUBERNETES/$name.key"
    done
}

# The manifests are kubelet's orders: an empty one silently starts nothing.
manifests_are_whole() {
    local name
    for name in $PODS; do is_manifest "$MANIFESTS/$name.yaml" || return 1; done
}

api_is_healthy() { [ "$(as_admin get --raw /healthz 2>/dev/null)" = ok ]; }

# The same of the one on this machine, whoever answers at the cluster's endpoint.
own_api_is_healthy() { [ "$(as_admin --server "https://$(bracketed "$AIRSEED_ADDRESS"):6443" get --raw /healthz 2>/dev/null)" = ok ]; }

# Let kubelet run with what it has.
start_kubelet() {
    systemctl enable kubelet.service
    systemctl start kubelet.service
}

node_looks_whole() {
    kubelet_is_configured || return 1
    ! is_control_plane || manifests_are_whole
}

kubelet_is_configured() { is_kubeconfig "$KUBERNETES/kubelet.conf" && is_text "$KUBELET/config.yaml" && is_text "$KUBELET/kubeadm-flags.env"; }
