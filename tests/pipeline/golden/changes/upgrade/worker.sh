#!/bin/bash
# worker's part in the change 001-upgrade-1.19.5 of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-upgrade-1.19.5'
DIGEST='844eaf8813abc32961c1c786748ffb5ed4a66d8af6d79339048a0129d2298b21'
CLUSTER='kubernetes'
NODE='worker'
RENAMED=''
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 upgrade
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_KUBERNETES='1.19.5'
AIRSEED_PACKAGES='kubeadm-1.19.5-0.x86_64 kubelet-1.19.5-0.x86_64 kubectl-1.19.5-0.x86_64 kubernetes-cni-0.8.7-0.x86_64 cri-tools-1.13.0-0.x86_64 docker-ce-3:19.03.9-3.el7.x86_64 docker-ce-cli-1:19.03.9-3.el7.x86_64 containerd.io-1.2.13-3.2.el7.x86_64 conntrack-tools-1.0-1.el7.x86_64 socat-1.0-1.el7.x86_64 ebtables-1.0-1.el7.x86_64 ethtool-1.0-1.el7.x86_64 iproute-1.0-1.el7.x86_64 iptables-1.0-1.el7.x86_64 util-linux-1.0-1.el7.x86_64 tar-1.0-1.el7.x86_64 ipset-1.0-1.el7.x86_64 ipvsadm-1.0-1.el7.x86_64 chrony-1.0-1.el7.x86_64 container-selinux-1.0-1.el7.x86_64 cloud-init-1.0-1.el7.x86_64 cloud-utils-growpart-1.0-1.el7.x86_64'
AIRSEED_CHANGE='001-upgrade-1.19.5'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first second third'
AIRSEED_COUNT='5'
AIRSEED_NODES=''
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='2'
AIRSEED_PULLS=''
AIRSEED_FROM='1.18.5'
AIRSEED_KUBEADM_PACKAGES='kubeadm-1.19.5-0.x86_64 cri-tools-1.13.0-0.x86_64'
AIRSEED_KUBELET_PACKAGES='kubelet-1.19.5-0.x86_64 kubectl-1.19.5-0.x86_64 kubernetes-cni-0.8.7-0.x86_64 docker-ce-3:19.03.9-3.el7.x86_64 docker-ce-cli-1:19.03.9-3.el7.x86_64 containerd.io-1.2.13-3.2.el7.x86_64 conntrack-tools-1.0-1.el7.x86_64 socat-1.0-1.el7.x86_64 ebtables-1.0-1.el7.x86_64 ethtool-1.0-1.el7.x86_64 iproute-1.0-1.el7.x86_64 iptables-1.0-1.el7.x86_64 util-linux-1.0-1.el7.x86_64 tar-1.0-1.el7.x86_64 ipset-1.0-1.el7.x86_64 ipvsadm-1.0-1.el7.x86_64 chrony-1.0-1.el7.x86_64 container-selinux-1.0-1.el7.x86_64 cloud-init-1.0-1.el7.x86_64 cloud-utils-growpart-1.0-1.el7.x86_64'
AIRSEED_ADDONS='manifests/001-tigera-operator.yaml manifests/002-custom-resources.yaml'
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: "api.example.com:6443"
    token: abcdef.0123456789abcdef
    caCertHashes:
    - "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
  timeout: "5m0s"
nodeRegistration:
  name: worker
  criSocket: /var/run/dockershim.sock
END_OF_FILE
lay64 0600 change 1.d/images.map <<'END_OF_FILE'
END_OF_FILE
}

main "$@"
