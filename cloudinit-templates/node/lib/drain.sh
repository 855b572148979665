#!/bin/bash
# This node as the scheduler sees it: cordoned, drained, and back. Sourced.
#
# seed: none has it; the script of a change brings it

need kubeadm why

# the annotation of a node that we have cordoned, with the change's name
CORDONED=airseed-cordoned

# Print "UNSCHEDULABLE/CHANGE" of this node, either empty.
cordon_state() { as_node get node "$AIRSEED_NODE" -o "jsonpath={.spec.unschedulable}/{.metadata.annotations.$CORDONED}"; }

node_answers() { as_node get node "$AIRSEED_NODE" >/dev/null; }

# Have an answer before anything is concluded from one, or begun that ends without any: an API server that is
# away for a while is no failure of what asks it.
await_answer() {
    wait_until "the cluster to tell of this node" "${AIRSEED_API_PATIENCE:-300}" node_answers ||
        fail_saying "the cluster does not tell of this node" "kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node $AIRSEED_NODE"
}

# Tell whether this node is Ready by the kubelet of its stage's release.
runs_release() {
    [ "$(as_node get node "$AIRSEED_NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.nodeInfo.kubeletVersion}' 2>/dev/null)" = "True v$AIRSEED_KUBERNETES" ]
}

# Keep new pods away. One request says that and whose doing it is, so that a power cut leaves both or none.
cordon() {
    local state
    state=$(cordon_state) || return 1
    case $state in
    true/) say "somebody else has cordoned this node: it stays so" ;;
    true/*) ;;
    *) as_node patch node "$AIRSEED_NODE" --type=merge \
        -p "{\"metadata\":{\"annotations\":{\"$CORDONED\":\"$AIRSEED_CHANGE\"}},\"spec\":{\"unschedulable\":true}}" ;;
    esac
}

# Let new pods come, if it was us who kept them away.
uncordon() {
    local state
    state=$(cordon_state) || return 1
    [ -n "${state#*/}" ] || return 0
    as_node patch node "$AIRSEED_NODE" --type=merge -p "{\"metadata\":{\"annotations\":{\"$CORDONED\":null}},\"spec\":{\"unschedulable\":null}}"
}

# Print "NAMESPACE/POD NAMESPACE/BUDGET" of this node's pods that a budget keeps here: now, or with "ever"
# as long as the budget is as it is.
kept_pods() {
    local namespace name allowed wanted expected labels
    # shellcheck disable=SC2016 # kubectl expands them
    as_node get poddisruptionbudgets --all-namespaces -o 'go-template={{range .items}}{{.metadata.namespace}} {{.metadata.name}} {{.status.disruptionsAllowed}} {{.status.desiredHealthy}} {{.status.expectedPods}} {{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}{{"\n"}}{{end}}' |
        while read -r namespace name allowed wanted expected labels; do
            [ "$allowed" = 0 ] && [ -n "$labels" ] || continue
            if [ "${1:-}" = ever ]; then [ "$expected" -gt 0 ] && [ "$wanted" -ge "$expected" ] || continue; fi
            as_node -n "$namespace" get pods -l "${labels%,}" --field-selector "spec.nodeName=$AIRSEED_NODE" -o name |
                sed -n "s|^pod/\(.*\)|$namespace/\1 $namespace/$name|p"
        done
}

# Tell whether this is the only node of the cluster, so that its pods could go nowhere: nobody asks where others take
# part, too. Kubelet's own name may not list others from Kubernetes 1.32 on.
is_alone() { is_control_plane && [ "${AIRSEED_COUNT:-1}" -le 1 ] && [ "$(as_admin get nodes -o name | grep -c .)" = 1 ]; }

# Print "NAMESPACE/POD" of this node's pods that nothing would make again elsewhere.
lone_pods() {
    as_node get pods --all-namespaces --field-selector "spec.nodeName=$AIRSEED_NODE" -o 'go-template={{range .items}}{{.metadata.namespace}}/{{.metadata.name}} {{.status.phase}}{{if .metadata.ownerReferences}} owned{{end}}{{with .metadata.annotations}}{{if index . "kubernetes.io/config.mirror"}} static{{end}}{{end}}{{"\n"}}{{end}}' |
        awk 'NF == 2 && $2 != "Succeeded" && $2 != "Failed" { print $1 }'
}

# Say of kept_pods' lines what they mean.
kept_words() { awk '{ printf "%spod %s, kept by the budget %s", (NR > 1 ? "; " : ""), $1, $2 }' | cut -b 1-600; }

# Fail where this node can't be drained, however long that may take: by a pod that nothing would make again, or by a
# budget that never lets one go.
check_pods() {
    local kept lone
    lone=$(lone_pods | head -n 20)
    [ -z "$lone" ] || fail "this node can't be drained: nothing would make these pods again: ${lone//$'\n'/ }" \
        "delete them, or run them by a Deployment or the like" "$HOPELESS"
    kept=$(kept_pods ever | kept_words)
    [ -z "$kept" ] || fail "this node can't be drained: $kept" \
        "the budget wants as many healthy pods as there are: give the workload one more replica, or the budget more room" "$HOPELESS"
}

# Move this node's pods elsewhere, as far as budgets let them go.
drain() {
    local limit=${AIRSEED_DRAIN_PATIENCE:-600} data=--delete-local-data begun left
    check_pods
    if [[ $(kubectl drain --help) == *--delete-emptydir-data* ]]; then data=--delete-emptydir-data; fi
    wait_until "the API server, to cordon this node" 120 cordon || fail "this node can't be cordoned" "kubectl get node $AIRSEED_NODE"
    begun=$(clock) left=$limit
    working "pods to move elsewhere"
    until as_node drain "$AIRSEED_NODE" --ignore-daemonsets "$data" --timeout="${left}s"; do
        # where nobody answers no budget is the cause
        if node_answers; then not_drained "$limit" "$data"; fi
        await_answer
        left=$((limit + begun - $(clock)))
        [ "$left" -gt 0 ] || not_drained "$limit" "$data"
    done
    working ''
}

# Give up draining within LIMIT seconds.
not_drained() {
    local kept
    kept=$(kept_pods | kept_words) || kept=''
    uncordon || say "warning: this node is still cordoned; that ends with the next run"
    [ -n "$kept" ] || fail "this node can't be drained" "kubectl drain $AIRSEED_NODE --ignore-daemonsets $2 tells more"
    fail "this node can't be drained within $1 s: $kept" \
        "let the workload have more replicas, or its budget more room (kubectl describe poddisruptionbudget); the node takes pods again until the next run"
}
