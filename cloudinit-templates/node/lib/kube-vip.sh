#!/bin/bash
# The endpoint's address, carried by kube-vip as a static pod of the control planes. Sourced.
# seed: by kube-vip

need cards tls

KUBE_VIP=$MANIFESTS/kube-vip.yaml

# Until init is through, admin.conf of 1.29 and newer may not do anything yet. The pod waits for the file, since
# a mount of what is not there would make a folder in its place, and starts again when the file is another one:
# it reads its certificate but once.
lay_kube_vip() {
    is_control_plane || return 0
    local config=admin.conf address digest
    if [ "$AIRSEED_NOW_PLAN/$AIRSEED_ROLE" = first-boot/init ] && ! is_stamped joined && [[ " $AIRSEED_KUBEADM_FILES " == *' super-admin.conf '* ]]; then
        config=super-admin.conf
    fi
    find_cards
    address=$(carried)
    # later another one may have it; a cluster that lives already is looked for where init begins
    [ "$AIRSEED_ROLE" != init ] || [ -e "$KUBE_VIP" ] || speaks_tls "${address%/*}" "${AIRSEED_ENDPOINT##*:}" || claim "${address%/*}"
    digest=$(sha256sum <"$KUBERNETES/$config" 2>/dev/null) || digest=none
    put "$KUBE_VIP" 0600 <<YAML
$OURS
apiVersion: v1
kind: Pod
metadata:
  annotations:
    airseed-settings: ${digest%% *}
  name: kube-vip
  namespace: kube-system
spec:
  containers:
  - args:
    - manager
    env:
    - name: vip_arp
      value: "true"
    - name: port
      value: "${AIRSEED_ENDPOINT##*:}"
    - name: vip_nodename
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    - name: vip_interface
      value: $CARD
    - name: vip_subnet
      value: "${address##*/}"
    - name: dns_mode
      value: first
    - name: dhcp_mode
      value: ipv4
    - name: cp_enable
      value: "true"
    - name: cp_namespace
      value: kube-system
    - name: vip_leaderelection
      value: "true"
    - name: vip_leasename
      value: plndr-cp-lock
    - name: vip_leaseduration
      value: "15"
    - name: vip_renewdeadline
      value: "10"
    - name: vip_retryperiod
      value: "2"
    - name: address
      value: "${address%/*}"
    - name: prometheus_server
      value: :2112
    image: $AIRSEED_ENDPOINT_IMAGE
    imagePullPolicy: IfNotPresent
    name: kube-vip
    resources: {}
    securityContext:
      capabilities:
        add:
        - NET_ADMIN
        - NET_RAW
        drop:
        - ALL
    volumeMounts:
    - mountPath: /etc/kubernetes/admin.conf
      name: kubeconfig
  hostAliases:
  - hostnames:
    - kubernetes
    ip: 127.0.0.1
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/$config
      type: File
    name: kubeconfig
status: {}
YAML
}
