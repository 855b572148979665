#!/bin/bash
# What somebody types who upgrades by hand: one machine after the other, nothing checked twice. The measure of
# airseed's own upgrade. usage: straight-upgrade.sh VERSION FIRST-PLANE [PLANE...] -- [WORKER...]
#
# `on MACHINE COMMAND...` is the test's: it runs a command there. The new bundle lies in /opt/airseed/bundle/next.
set -euo pipefail

version=$1 first=$2
shift
bundle=/opt/airseed/bundle/next
began=$(date +%s)

say() { printf '%4d s %s\n' $(($(date +%s) - began)) "$*"; }
# shellcheck disable=SC2016 # the machine's shell expands it
snapshot='docker exec $(docker ps -q -f name=k8s_etcd_) etcdctl --endpoints=https://127.0.0.1:2379
    --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/peer.crt
    --key=/etc/kubernetes/pki/etcd/peer.key snapshot save /var/lib/etcd/straight.db'

plane=yes
for name; do
    [ "$name" != -- ] || { plane=; continue; }
    say "$name: images"
    on "$name" docker load -q -i $bundle/straight.tar >/dev/null
    if [ $plane ]; then say "$name: snapshot"; on "$name" bash -c "${snapshot//$'\n'/ }" >/dev/null; fi
    on "$name" bash -c "for dir in $bundle/yum/*; do n=\${dir##*/}
        printf '[next-%s]\nname=%s\nbaseurl=file://%s\ngpgcheck=1\ngpgkey=%s\n\n' \$n \$n \$dir \"\$(printf 'file://%s ' $bundle/keys/*)\"
        done > /etc/yum.repos.d/next.repo"
    say "$name: kubeadm"
    on "$name" yum -q -y --disablerepo='*' --enablerepo='next-*' install "kubeadm-$version-0" kubernetes-cni-0.8.7-0 >/dev/null
    if [ "$name" = "$first" ]; then
        # the release's own etcd and CoreDNS, and not those that the first day named
        on "$name" bash -c "kubectl -n kube-system get configmap kubeadm-config -o yaml | sed '/^ *imageTag:/d' | kubectl replace -f -"
        on "$name" kubeadm upgrade apply "v$version" -y
    else
        on "$name" kubeadm upgrade node
    fi
    say "$name: drain"
    on "$first" kubectl drain "$name" --ignore-daemonsets --delete-local-data --timeout=300s
    say "$name: kubelet"
    on "$name" yum -q -y --disablerepo='*' --enablerepo='next-*' install "kubelet-$version-0" "kubectl-$version-0" >/dev/null
    on "$name" systemctl daemon-reload
    on "$name" systemctl restart kubelet
    # kubelet of a new minor makes the static pods anew some seconds after it says that it is ready
    good=0
    for _ in {1..180}; do
        if on "$first" kubectl get node "$name" --no-headers 2>/dev/null | grep -q " Ready.*v$version"; then
            good=$((good + 1))
        else
            good=0
        fi
        [ $good -lt 10 ] || break
        sleep 1
    done
    on "$first" kubectl uncordon "$name"
done
say "done"
