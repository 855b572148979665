#!/bin/bash
# Give the cluster its network and whatever else the bundle has manifests for, in their order.
# reads: NODE ROLE ADDRESS UNTAINT CNI CNI_REACH POD_SUBNETS REGISTRY SUMS ADDONS manifests.edits
# uses: PAYLOAD_URL MADE_BYTES KUBEADM_FILES IMAGES RUNTIME SKIP_PHASES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values payload kubeadm manifests
load_environment

LOG=$STATE/apply.log

# In an upgrade the other API servers are still of the release before, and may not know what is applied.
as_admin() { kubectl --kubeconfig "$ADMIN" --request-timeout=20s --server "https://$(bracketed "$AIRSEED_ADDRESS"):6443" "$@"; }

# Apply one file; some of it may be there from an earlier try. Kinds that its own definitions
# bring are known a moment later.
apply() {
    local file=$1 try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        if as_admin apply -f "$file" >"$LOG" 2>&1; then
            cat "$LOG"
            return 0
        fi
        # the note that "apply" takes of a large definition is too long to be kept
        if grep -q 'annotations: Too long' "$LOG" && create "$file"; then return 0; fi
        grep -qE 'no matches for kind|could not find the requested resource|refused|Unable to connect|unable to handle|timeout|EOF|etcdserver' "$LOG" || break
        say "try $try: $(tail -n 1 "$LOG")"
        sleep 2
    done
    cat "$LOG"
    return 1
}

# Make what is not there; the rest has been applied. In a change what is there may be of an earlier release.
create() {
    local output
    if [ -n "${AIRSEED_STAGE:-}" ]; then
        as_admin apply --server-side --force-conflicts -f "$1" >"$LOG" 2>&1
        return
    fi
    if output=$(as_admin create -f "$1" 2>&1); then
        printf '%s\n' "$output" >>"$LOG"
        return 0
    fi
    printf '%s\n' "$output" >>"$LOG"
    [[ $output == *AlreadyExists* ]] && ! printf '%s\n' "$output" | grep -vE ' created$|AlreadyExists|^Warning:' >/dev/null
}

remove_taints() {
    local key left
    for key in node-role.kubernetes.io/master node-role.kubernetes.io/control-plane; do
        as_admin taint nodes "$AIRSEED_NODE" "$key-" 2>&1 | grep -v 'not found' || true
    done
    left=$(as_admin get node "$AIRSEED_NODE" -o jsonpath='{.spec.taints[*].key}') ||
        fail "the node's taints can't be read" "kubectl describe node $AIRSEED_NODE"
    [[ $left != *node-role.kubernetes.io/* ]] ||
        fail "the node's taint can't be removed" "kubectl describe node $AIRSEED_NODE"
}

main() {
    local file ready=$STATE/manifests
    [ "$AIRSEED_ROLE" = init ] || return 0
    # a stage of a change names those that come with it
    [ -z "${AIRSEED_STAGE:-}" ] || [ -n "$AIRSEED_ADDONS" ] || return 0
    [ "$AIRSEED_UNTAINT" != 1 ] || remove_taints
    find_payload
    if [ -n "$AIRSEED_ADDONS" ]; then printf '%s\n' "${AIRSEED_ADDONS// /$'\n'}"; else payload_list manifests/; fi | sort >"$LISTS/manifests"
    [ -s "$LISTS/manifests" ] || return 0
    take_payload <"$LISTS/manifests"
    mkdir -p "$ready"
    while IFS= read -r file; do
        localise "$BASE/$file" >"$ready/${file##*/}" || fail "the seed has no edits that make $file name the images of $AIRSEED_REGISTRY" \
            "render this node's seed again from the lock of this bundle"
    done <"$LISTS/manifests"
    while IFS= read -r file; do
        file=$ready/${file##*/}
        say "applying ${file##*/}"
        apply "$file" || fail "${file##*/} can't be applied: $(grep -iE 'error|invalid' "$LOG" | tail -n 1)" "the file is $file on this node"
        if grep -q '^kind: CustomResourceDefinition' "$file"; then
            as_admin wait --for=condition=established --timeout=60s crd --all >/dev/null
        fi
    done <"$LISTS/manifests"
}

main
