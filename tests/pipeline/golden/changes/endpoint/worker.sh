#!/bin/bash
# worker's part in the change 001-endpoint-keepalived-move of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-endpoint-keepalived-move'
DIGEST='8e83a43cd1c0c4681ea4a0588dac6eddf6c094b634d81af56b44fd2dac2f9b95'
CLUSTER='kubernetes'
NODE='worker'
RENAMED=''
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 endpoint
2 move
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_ENDPOINT_BY='keepalived'
AIRSEED_ENDPOINT_CARD=''
AIRSEED_ENDPOINT_PLANES='10.0.0.1 10.0.0.2 10.0.0.3'
AIRSEED_ENDPOINT_IMAGE=''
AIRSEED_PACKAGES='kubeadm-1.18.5-0.x86_64 kubelet-1.18.5-0.x86_64 kubectl-1.18.5-0.x86_64 kubernetes-cni-0.8.6-0.x86_64 cri-tools-1.13.0-0.x86_64 docker-ce-3:19.03.9-3.el7.x86_64 docker-ce-cli-1:19.03.9-3.el7.x86_64 containerd.io-1.2.13-3.2.el7.x86_64 conntrack-tools-1.0-1.el7.x86_64 socat-1.0-1.el7.x86_64 ebtables-1.0-1.el7.x86_64 ethtool-1.0-1.el7.x86_64 iproute-1.0-1.el7.x86_64 iptables-1.0-1.el7.x86_64 util-linux-1.0-1.el7.x86_64 tar-1.0-1.el7.x86_64 ipset-1.0-1.el7.x86_64 ipvsadm-1.0-1.el7.x86_64 chrony-1.0-1.el7.x86_64 container-selinux-1.0-1.el7.x86_64 cloud-init-1.0-1.el7.x86_64 cloud-utils-growpart-1.0-1.el7.x86_64 keepalived-1.0-1.el7.x86_64'
AIRSEED_CHANGE='001-endpoint-keepalived-move'
AIRSEED_STAGE='1'
AIRSEED_STAGES='2'
AIRSEED_LAST='2'
AIRSEED_PLANES='first second third'
AIRSEED_COUNT='5'
AIRSEED_NODES=''
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_ENDPOINT_NEXT='10.0.0.60:6443'
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: "10.0.0.4"
  bindPort: 6443
nodeRegistration:
  name: worker
  criSocket: /var/run/dockershim.sock
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
controlPlaneEndpoint: "10.0.0.60"
apiServer:
  certSANs:
  - api.example.com
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
lay 0600 change 2.env <<'END_OF_FILE'
<node.env>
AIRSEED_ENDPOINT='10.0.0.60:6443'
AIRSEED_ENDPOINT_BY='keepalived'
AIRSEED_ENDPOINT_CARD=''
AIRSEED_ENDPOINT_PLANES='10.0.0.1 10.0.0.2 10.0.0.3'
AIRSEED_ENDPOINT_IMAGE=''
AIRSEED_PACKAGES='kubeadm-1.18.5-0.x86_64 kubelet-1.18.5-0.x86_64 kubectl-1.18.5-0.x86_64 kubernetes-cni-0.8.6-0.x86_64 cri-tools-1.13.0-0.x86_64 docker-ce-3:19.03.9-3.el7.x86_64 docker-ce-cli-1:19.03.9-3.el7.x86_64 containerd.io-1.2.13-3.2.el7.x86_64 conntrack-tools-1.0-1.el7.x86_64 socat-1.0-1.el7.x86_64 ebtables-1.0-1.el7.x86_64 ethtool-1.0-1.el7.x86_64 iproute-1.0-1.el7.x86_64 iptables-1.0-1.el7.x86_64 util-linux-1.0-1.el7.x86_64 tar-1.0-1.el7.x86_64 ipset-1.0-1.el7.x86_64 ipvsadm-1.0-1.el7.x86_64 chrony-1.0-1.el7.x86_64 container-selinux-1.0-1.el7.x86_64 cloud-init-1.0-1.el7.x86_64 cloud-utils-growpart-1.0-1.el7.x86_64 keepalived-1.0-1.el7.x86_64'
AIRSEED_CHANGE='001-endpoint-keepalived-move'
AIRSEED_STAGE='2'
AIRSEED_STAGES='2'
AIRSEED_LAST='2'
AIRSEED_PLANES='first second third'
AIRSEED_COUNT='5'
AIRSEED_NODES=''
AIRSEED_COUNT_BEFORE='5'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
END_OF_FILE
lay 0600 change 2.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: "10.0.0.4"
  bindPort: 6443
nodeRegistration:
  name: worker
  criSocket: /var/run/dockershim.sock
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
controlPlaneEndpoint: "10.0.0.60"
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
lay64 0600 change 2.d/images.map <<'END_OF_FILE'
END_OF_FILE
}

main "$@"
