#!/bin/bash
# first's part in the change 001-rename-worker of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-rename-worker'
DIGEST='bc8970b32bd99a88605f7c08611814cdcda64da349b89a1216592e2beb5e79bd'
CLUSTER='kubernetes'
NODE='first'
RENAMED=''
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 dismiss
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_CHANGE='001-rename-worker'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first'
AIRSEED_COUNT='2'
AIRSEED_NODES='first worker'
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_LEAVER='worker'
AIRSEED_LEAVER_ADDRESSES='10.0.0.4'
AIRSEED_HELPER='first'
AIRSEED_HELPER_ADDRESS='10.0.0.1'
AIRSEED_SUCCESSOR='better'
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
bootstrapTokens:
- token: "8p9664.wvsxd0f4b3vtk0qd"
  ttl: "24h0m0s"
  usages:
  - signing
  - authentication
  groups:
  - "system:bootstrappers:kubeadm:default-node-token"
certificateKey: ea3b1a666d17e6187c89a5cda60158a724edaf42d384c37fd8dd8bb709605816
localAPIEndpoint:
  advertiseAddress: "10.0.0.1"
  bindPort: 6443
nodeRegistration:
  name: first
  criSocket: /var/run/dockershim.sock
  taints:
  - effect: NoSchedule
    key: node-role.kubernetes.io/master
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
clusterName: kubernetes
etcd:
  local:
    imageRepository: k8s.gcr.io
    imageTag: "3.4.3-0"
networking:
  dnsDomain: cluster.local
  serviceSubnet: "10.96.0.0/12"
  podSubnet: "192.168.0.0/16"
kubernetesVersion: v1.18.5
certificatesDir: /etc/kubernetes/pki
imageRepository: k8s.gcr.io
controlPlaneEndpoint: api.example.com
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: "192.168.0.0/16"
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS:
- "10.96.0.10"
cgroupDriver: systemd
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: "100Mi"
  nodefs.available: "1Gi"
  nodefs.inodesFree: "2%"
  imagefs.available: "1Gi"
END_OF_FILE
lay 0600 change 1.d/hosts <<'END_OF_FILE'
10.0.0.1 first
END_OF_FILE
lay64 0600 change 1.d/images.map <<'END_OF_FILE'
END_OF_FILE
lay 0600 change 1.d/pki/ca.crt <<'END_OF_FILE'
-----BEGIN CERTIFICATE-----
TWFkZSB1cCBmb3IgdGVzdHMsIG5vdCBhIHJlYWwgb25l
-----END CERTIFICATE-----
END_OF_FILE
lay 0600 change admit-better.sh <<'END_OF_FILE'
#!/bin/bash
NODE='better'
ROLE='worker'
KUBERNETES='1.18.5'
API='kubeadm.k8s.io/v1beta2'
HOURS='24'
TOKEN='8p9664.wvsxd0f4b3vtk0qd'
CERTIFICATE_KEY=''
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
END_OF_FILE
}

main "$@"
