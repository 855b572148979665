#!/bin/bash
# What somebody in a hurry writes who knows that nothing will go wrong: one line after the other.
# The measure of what airseed's guards cost. From cloud-init's runcmd, once.

exec >>/var/log/straight.log 2>&1
export HOME=/root
# shellcheck source=/dev/null
. /etc/straight/node.env
bundle=/opt/airseed/bundle

cat /etc/straight/hosts >>/etc/hosts
for name in overlay br_netfilter; do modprobe "$name"; done
printf 'net.bridge.bridge-nf-call-iptables = 1\nnet.ipv4.ip_forward = 1\n' >/etc/sysctl.d/k8s.conf
sysctl -q -p /etc/sysctl.d/k8s.conf
mkdir -p /etc/docker
printf '{"exec-opts": ["native.cgroupdriver=systemd"], "storage-driver": "overlay2"}\n' >/etc/docker/daemon.json

keys=$(printf 'file://%s ' "$bundle"/keys/*)
for name in $AIRSEED_REPOSITORIES; do
    printf '[%s]\nname=%s\nbaseurl=file://%s/yum/%s\ngpgcheck=1\ngpgkey=%s\n\n' "$name" "$name" "$bundle" "$name" "$keys"
done >/etc/yum.repos.d/straight.repo
# shellcheck disable=SC2086 # several names
yum -y --disablerepo='*' --enablerepo="${AIRSEED_REPOSITORIES// /,}" install $AIRSEED_PACKAGES || exit 1
systemctl enable --now docker kubelet
docker load -q -i "$bundle/straight.tar" || exit 1

if [ "$AIRSEED_ROLE" = init ]; then
    kubeadm init --upload-certs --config /etc/straight/kubeadm.yaml || exit 1
    for file in "$bundle"/manifests/*; do kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f "$file"; done
else
    for _ in {1..40}; do
        kubeadm join --config /etc/straight/kubeadm.yaml && break
        kubeadm reset -f >/dev/null 2>&1
        sleep 5
    done
fi
date +%s >/var/log/straight.done
