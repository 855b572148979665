#!/bin/bash
# See that what guards a cluster does guard it, not only that it is configured. Sourced.

need etcd kubeadm json

# Print the value of an argument of the API server on this machine.
api_argument() { sed -n "s/^ *- --$1=//p" "$MANIFESTS/kube-apiserver.yaml" | head -n 1; }

# A Secret that is written now must not be readable in etcd.
prove_encryption() {
    local kept key
    [ -n "$(api_argument encryption-provider-config)" ] || return 0
    as_admin -n airseed create secret generic "proof-$AIRSEED_NODE" --from-literal=proof=plain --dry-run=client -o yaml |
        as_admin apply -f - >/dev/null || fail "a Secret can't be written" "kubectl -n kube-system logs of kube-apiserver on this node"
    key=$(printf '/registry/secrets/airseed/proof-%s' "$AIRSEED_NODE" | base64 -w 0)
    kept=$(etcd_ask "$AIRSEED_ADDRESS" /v3/kv/range "{\"key\":\"$key\"}" | tr -d ' \n' | sed -n 's/.*"value":"\([^"]*\)".*/\1/p')
    as_admin -n airseed delete secret "proof-$AIRSEED_NODE" >/dev/null || true
    [ -n "$kept" ] || fail "what etcd holds of a Secret can't be read" "is etcd of this node up? kubectl -n kube-system get pods"
    # what is not encrypted begins with k8s and a zero
    [[ $(printf '%s' "$kept" | base64 -d | head -c 8 | tr -d '\000') == k8s:enc: ]] ||
        fail "etcd holds Secrets in plain text, though the API server has an encryption-provider-config" \
            "its first provider must not be identity: look into $(api_argument encryption-provider-config)"
    say "Secrets are encrypted in etcd"
}

# The log is there when requests have been made; it is looked for where the host has it.
prove_audit() {
    local log
    log=$(api_argument audit-log-path)
    [ -n "$log" ] && [ "$log" != - ] || return 0
    grep -q "^ *path: $(dirname "$log")/*\$" "$MANIFESTS/kube-apiserver.yaml" || {
        say "warning: the audit log $log is on no volume of this machine: it goes with the API server's container"
        return 0
    }
    wait_until "the audit log" "${AIRSEED_AUDIT_PATIENCE:-60}" test -s "$R$log" ||
        fail "the API server writes no audit log to $log" "its audit-policy-file may log nothing: $(api_argument audit-policy-file)"
    say "requests are written to $log"
}
