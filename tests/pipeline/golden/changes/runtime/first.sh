#!/bin/bash
# first's part in the change 001-runtime-containerd-1.2.13 of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-runtime-containerd-1.2.13'
DIGEST='d3ba991ffe8d54b1349a604c56fce62f18b4bf942b293a635c4a0eee8eef25cc'
CLUSTER='kubernetes'
NODE='first'
RENAMED=''
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 runtime
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_RUNTIME='containerd'
AIRSEED_CRI_SOCKET='/run/containerd/containerd.sock'
AIRSEED_PACKAGES='kubeadm-1.18.5-0.x86_64 kubelet-1.18.5-0.x86_64 kubectl-1.18.5-0.x86_64 kubernetes-cni-0.8.6-0.x86_64 cri-tools-1.13.0-0.x86_64 containerd.io-1.2.13-3.2.el7.x86_64 conntrack-tools-1.0-1.el7.x86_64 socat-1.0-1.el7.x86_64 ebtables-1.0-1.el7.x86_64 ethtool-1.0-1.el7.x86_64 iproute-1.0-1.el7.x86_64 iptables-1.0-1.el7.x86_64 util-linux-1.0-1.el7.x86_64 tar-1.0-1.el7.x86_64 ipset-1.0-1.el7.x86_64 ipvsadm-1.0-1.el7.x86_64 chrony-1.0-1.el7.x86_64 container-selinux-1.0-1.el7.x86_64 cloud-init-1.0-1.el7.x86_64 cloud-utils-growpart-1.0-1.el7.x86_64'
AIRSEED_CHANGE='001-runtime-containerd-1.2.13'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first second third'
AIRSEED_COUNT='5'
AIRSEED_NODES='first second third worker other'
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_RUNTIME_BEFORE='docker'
AIRSEED_LEAVE='docker-ce docker-ce-cli'
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
bootstrapTokens:
- token: abcdef.0123456789abcdef
  ttl: "24h0m0s"
  usages:
  - signing
  - authentication
  groups:
  - "system:bootstrappers:kubeadm:default-node-token"
certificateKey: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
localAPIEndpoint:
  advertiseAddress: "10.0.0.1"
  bindPort: 6443
nodeRegistration:
  name: first
  criSocket: /run/containerd/containerd.sock
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
lay64 0600 change 1.d/images.map <<'END_OF_FILE'
END_OF_FILE
}

main "$@"
