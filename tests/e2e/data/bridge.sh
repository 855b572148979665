#!/bin/bash
# What a user without a network plugin does: the plain bridge of the CNI plugins, with an address of
# each family that this node has a range of, and routes to the ranges of the others.
# usage: bridge.sh ADDRESSES     a file with lines NAME ADDRESS...

export KUBECONFIG=/etc/kubernetes/kubelet.conf
own=$(hostname)

configure() {
    local range listed=''
    for range; do listed="$listed${listed:+, }[{\"subnet\": \"$range\"}]"; done
    mkdir -p /etc/cni/net.d
    cat >/etc/cni/net.d/.bridge <<JSON
{"cniVersion": "0.3.1", "name": "bridge", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local",
    "ranges": [$listed], "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}
JSON
    mv /etc/cni/net.d/.bridge /etc/cni/net.d/10-bridge.conflist
}

# Of ADDRESSES print the one of RANGE's family.
of_family() {
    local range=$1 address
    shift
    for address; do
        case $range,$address in *:*,*:*) echo "$address" ;; *:*,* | *,*:*) ;; *) echo "$address" ;; esac
    done
}

while :; do
    while read -r name ranges; do
        # shellcheck disable=SC2086 # several
        if [ "$name" = "$own" ]; then
            configure $ranges
            continue
        fi
        read -r _ addresses < <(grep "^$name " "$1")
        for range in $ranges; do
            # shellcheck disable=SC2086
            ip route replace "$range" via "$(of_family "$range" $addresses)"
        done
    done < <(kubectl --request-timeout=5s get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDRs[*]}{"\n"}{end}')
    sleep 2
done
