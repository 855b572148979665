#!/bin/bash
# worker's part in the change 001-rename-worker of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-rename-worker'
DIGEST='bc8970b32bd99a88605f7c08611814cdcda64da349b89a1216592e2beb5e79bd'
CLUSTER='kubernetes'
NODE='worker'
RENAMED='better'
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 rename
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
AIRSEED_CLUSTER='kubernetes'
AIRSEED_NODE='better'
AIRSEED_ROLE='worker'
AIRSEED_IMAGES='worker'
AIRSEED_GENERATION='1'
AIRSEED_ADDRESS='10.0.0.4'
AIRSEED_ADDRESSES='10.0.0.4'
AIRSEED_PEERS=''
AIRSEED_CONTROL_PLANES=''
AIRSEED_WINDOW=''
AIRSEED_CNI_REACH=''
AIRSEED_SKIP_PHASES=''
AIRSEED_UNTAINT=''
AIRSEED_KEEP_FREE='1024'
AIRSEED_NEED_MIB='4096'
AIRSEED_KUBERNETES='1.18.5'
AIRSEED_RUNTIME='docker'
AIRSEED_KUBEADM_FILES='admin.conf controller-manager.conf scheduler.conf kubelet.conf bootstrap-kubelet.conf manifests/etcd.yaml manifests/kube-apiserver.yaml manifests/kube-controller-manager.yaml manifests/kube-scheduler.yaml pki/ca.crt pki/ca.key pki/apiserver.crt pki/apiserver.key pki/apiserver-etcd-client.crt pki/apiserver-etcd-client.key pki/apiserver-kubelet-client.crt pki/apiserver-kubelet-client.key pki/front-proxy-ca.crt pki/front-proxy-ca.key pki/front-proxy-client.crt pki/front-proxy-client.key pki/sa.key pki/sa.pub pki/etcd/ca.crt pki/etcd/ca.key pki/etcd/healthcheck-client.crt pki/etcd/healthcheck-client.key pki/etcd/peer.crt pki/etcd/peer.key pki/etcd/server.crt pki/etcd/server.key'
AIRSEED_CRI_SOCKET='/var/run/dockershim.sock'
AIRSEED_CGROUP_DRIVER='systemd'
AIRSEED_ENDPOINT='api.example.com:6443'
AIRSEED_PKI='generated'
AIRSEED_SUMS='1731268337077bf3b6de1f2828bf03dfd04ba4fc7a45d6f53c0311b63211a8c3'
AIRSEED_MADE_BYTES='100000'
AIRSEED_PAYLOAD_URL=''
AIRSEED_REGISTRY=''
AIRSEED_SANDBOX_IMAGE='k8s.gcr.io/pause:3.2'
AIRSEED_REPOSITORIES=''
AIRSEED_POD_SUBNETS='192.168.0.0/16'
AIRSEED_SERVICE_SUBNETS='10.96.0.0/12'
AIRSEED_DOMAIN='cluster.local'
AIRSEED_CNI='calico-operator'
AIRSEED_PHONE_HOME='https://boots.example.com/'
AIRSEED_PACKAGES='kubeadm-1.18.5-0.x86_64 kubelet-1.18.5-0.x86_64 kubectl-1.18.5-0.x86_64 kubernetes-cni-0.8.6-0.x86_64 cri-tools-1.13.0-0.x86_64 docker-ce-3:19.03.9-3.el7.x86_64 docker-ce-cli-1:19.03.9-3.el7.x86_64 containerd.io-1.2.13-3.2.el7.x86_64 conntrack-tools-1.0-1.el7.x86_64 socat-1.0-1.el7.x86_64 ebtables-1.0-1.el7.x86_64 ethtool-1.0-1.el7.x86_64 iproute-1.0-1.el7.x86_64 iptables-1.0-1.el7.x86_64 util-linux-1.0-1.el7.x86_64 tar-1.0-1.el7.x86_64 ipset-1.0-1.el7.x86_64 ipvsadm-1.0-1.el7.x86_64 chrony-1.0-1.el7.x86_64 container-selinux-1.0-1.el7.x86_64 cloud-init-1.0-1.el7.x86_64 cloud-utils-growpart-1.0-1.el7.x86_64'
AIRSEED_NTP=''
AIRSEED_HTTP_PROXY=''
AIRSEED_HTTPS_PROXY=''
AIRSEED_NO_PROXY=''
AIRSEED_SELINUX='permissive'
AIRSEED_FIREWALL='off'
AIRSEED_FIREWALL_PORTS=''
AIRSEED_ON_LINK=''
AIRSEED_SNAPSHOTS_EVERY=''
AIRSEED_SNAPSHOTS_KEEP=''
AIRSEED_SNAPSHOTS_TO=''
AIRSEED_CHANGE='001-rename-worker'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first'
AIRSEED_COUNT='2'
AIRSEED_NODES=''
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
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: "api.example.com:6443"
    token: "8p9664.wvsxd0f4b3vtk0qd"
    caCertHashes:
    - "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
  timeout: "5m0s"
nodeRegistration:
  name: better
  criSocket: /var/run/dockershim.sock
END_OF_FILE
lay 0600 change 1.d/hosts <<'END_OF_FILE'
10.0.0.4 better
END_OF_FILE
lay64 0600 change 1.d/images.map <<'END_OF_FILE'
END_OF_FILE
lay 0600 change 1.d/pki/ca.crt <<'END_OF_FILE'
-----BEGIN CERTIFICATE-----
TWFkZSB1cCBmb3IgdGVzdHMsIG5vdCBhIHJlYWwgb25l
-----END CERTIFICATE-----
END_OF_FILE
}

main "$@"
