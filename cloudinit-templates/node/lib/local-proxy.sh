#!/bin/bash
# The endpoint's name, which leads to a proxy on each worker. Sourced.
# seed: by local-proxy

need hosts

PROXY=$MANIFESTS/airseed-proxy.yaml

# The name leads to this machine first, and to the control planes where nothing listens here yet: so nodes
# join before a proxy can run, and control planes ask their own API server.
lay_local_proxy() {
    local name port loopback=127.0.0.1 plane
    name=$(host_of "$AIRSEED_ENDPOINT")
    port=${AIRSEED_ENDPOINT##*:}
    case $AIRSEED_ADDRESS in *:*) loopback=::1 ;; esac
    {
        printf '%s %s\n' "$loopback" "$name"
        for plane in $AIRSEED_ENDPOINT_PLANES; do [ "$plane" = "$AIRSEED_ADDRESS" ] || printf '%s %s\n' "$plane" "$name"; done
    } | write_hosts 'airseed endpoint'
    ! is_control_plane || return 0
    proxy_settings "$(bracketed "$loopback"):$port" | put "$ETC/proxy/haproxy.cfg" 0644
    proxy_pod "$(sha256sum <"$ETC/proxy/haproxy.cfg")" | put "$PROXY" 0600
}

# Print the proxy's settings. Who went down has its connections ended, so that clients ask another at once.
proxy_settings() {
    local number=0 plane
    cat <<CONF
$OURS
global
    log stdout format raw local0 notice
    maxconn 4000
defaults
    mode tcp
    log global
    option dontlognull
    option redispatch
    option clitcpka
    option srvtcpka
    retries 3
    timeout connect 3s
    timeout check 2s
    timeout client 1h
    timeout server 1h
frontend api
    bind $1
    default_backend control-planes
backend control-planes
    balance leastconn
    option httpchk GET /readyz
    # who tells strangers nothing answers, too
    http-check expect rstatus ^(200|401|403)$
    default-server check check-ssl verify none inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
CONF
    for plane in $AIRSEED_ENDPOINT_PLANES; do
        number=$((number + 1))
        printf '    server control-plane-%s %s:6443\n' "$number" "$(bracketed "$plane")"
    done
}

# Print the proxy's pod; kubelet starts it again when its settings are others.
proxy_pod() {
    cat <<YAML
$OURS
apiVersion: v1
kind: Pod
metadata:
  name: airseed-proxy
  namespace: kube-system
  annotations:
    airseed-settings: ${1%% *}
spec:
  containers:
  - command: [haproxy, -db, -f, /usr/local/etc/haproxy/haproxy.cfg]
    image: $AIRSEED_ENDPOINT_IMAGE
    imagePullPolicy: IfNotPresent
    name: haproxy
    resources:
      requests: {cpu: 25m, memory: 32M}
    volumeMounts:
    - mountPath: /usr/local/etc/haproxy
      name: settings
      readOnly: true
  hostNetwork: true
  priorityClassName: system-node-critical
  terminationGracePeriodSeconds: 5
  volumes:
  - hostPath:
      path: ${ETC#"$R"}/proxy
      type: Directory
    name: settings
status: {}
YAML
}
