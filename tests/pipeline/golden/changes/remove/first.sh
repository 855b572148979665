#!/bin/bash
# first's part in the change 001-leave-third of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-leave-third'
DIGEST='5bb70d192e52725bbd3698e13aa047c631911198ce2332b59307c9444860156f'
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
AIRSEED_CHANGE='001-leave-third'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first'
AIRSEED_COUNT='2'
AIRSEED_NODES='first third'
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_LEAVER='third'
AIRSEED_LEAVER_ADDRESSES='10.0.0.3'
AIRSEED_HELPER='first'
AIRSEED_HELPER_ADDRESS='10.0.0.1'
AIRSEED_SUCCESSOR=''
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
bootstrapTokens:
- token: uocha8.n37qfiwk29yz3d9o
  ttl: "24h0m0s"
  usages:
  - signing
  - authentication
  groups:
  - "system:bootstrappers:kubeadm:default-node-token"
certificateKey: d59ff3c5c4fb171c957b6a11409a2f309e1223ca1736411264122c12c4685e04
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
}

main "$@"
