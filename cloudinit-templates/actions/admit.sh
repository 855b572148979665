# Let one late node into a cluster that is up. Runs as root on any control plane, from a file or
# from standard input; may be run again. The lines in front of this one give NODE, ROLE,
# KUBERNETES, HOURS, TOKEN and, for a control plane, CERTIFICATE_KEY.
# shellcheck shell=bash

set -euo pipefail
umask 077
export KUBECONFIG=${KUBECONFIG:-/etc/kubernetes/admin.conf}

fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2 && exit 1; }

# The node's token, with its own end. It goes through standard input: arguments are for all to see.
admit_token() {
    local ends
    ends=$(date -u -d "+$HOURS hours" +%Y-%m-%dT%H:%M:%SZ)
    kubectl apply -f - <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: bootstrap-token-${TOKEN%%.*}
  namespace: kube-system
type: bootstrap.kubernetes.io/token
stringData:
  description: "airseed: lets $NODE join"
  token-id: "${TOKEN%%.*}"
  token-secret: "${TOKEN#*.}"
  expiration: "$ends"
  usage-bootstrap-authentication: "true"
  usage-bootstrap-signing: "true"
  auth-extra-groups: system:bootstrappers:kubeadm:default-node-token
YAML
    printf 'the token of %s lets it in until %s\n' "$NODE" "$ends"
}

# The certificates that a control plane needs; kubeadm takes them away after two hours.
upload_certificates() {
    local machine=''
    # the key is for memory alone
    work=$(mktemp -d -p "${XDG_RUNTIME_DIR:-/run}")
    trap 'rm -rf "$work"' EXIT
    # what kubeadm would have to guess where there are two runtimes, or no way out
    if [ -r "${AIRSEED_ROOT:-}/etc/airseed/node.env" ]; then
        # shellcheck source=/dev/null
        . "${AIRSEED_ROOT:-}/etc/airseed/node.env"
        machine=$(printf 'nodeRegistration:\n  criSocket: "%s"' "$AIRSEED_CRI_SOCKET" &&
            [ -z "${AIRSEED_ADDRESS:-}" ] || printf '\nlocalAPIEndpoint:\n  advertiseAddress: "%s"' "$AIRSEED_ADDRESS")
    fi
    cat >"$work/kubeadm.yaml" <<YAML
apiVersion: $API
kind: InitConfiguration
certificateKey: $CERTIFICATE_KEY
$machine
---
apiVersion: $API
kind: ClusterConfiguration
kubernetesVersion: v$KUBERNETES
YAML
    kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print --config "$work/kubeadm.yaml"
    printf 'the certificates for %s are uploaded: start it within two hours\n' "$NODE"
}

# While the first control planes are awaited, the certificates are uploaded by another key.
refuse_open_window() {
    local window
    window=$(kubectl get namespace airseed --ignore-not-found -o 'jsonpath={.metadata.annotations.airseed-window}')
    [ "$window" != open ] || fail "control planes of cluster.yaml are still expected to join, with another certificate key" \
        "wait for them; or, on the first node, /usr/libexec/airseed/actions/window close: any that are missing then need an admit.sh, too; if the first node is lost: kubectl annotate namespace airseed airseed-window-"
}

main() {
    [ -r "$KUBECONFIG" ] || fail "$KUBECONFIG cannot be read" "run this as root on a control plane"
    [ "$ROLE" != control-plane ] || refuse_open_window
    admit_token
    [ "$ROLE" != control-plane ] || upload_certificates
}

main
