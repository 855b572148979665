#!/bin/bash
# Move the control plane on this node, or a worker's configuration, to the stage's release.
# seed: none has it; the script of a change brings it
# reads: NODE PLANES FROM KUBERNETES
# uses: COUNT CHANGE CLUSTER ENDPOINT_BY ENDPOINT_CARD ENDPOINT_IMAGE ENDPOINT_PLANES ENDPOINT ROLE SUMS PAYLOAD_URL MADE_BYTES KUBEADM_FILES SKIP_PHASES IMAGES RUNTIME ADDRESS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role kubeadm endpoint drain
load_environment

# Copy what kubeadm makes, as it makes it: the power may go any moment.
keep_copying() {
    local name
    while kill -0 "$1" 2>/dev/null; do
        sleep 2
        for name in $PODS; do
            is_manifest "$MANIFESTS/$name.yaml" || continue
            [ "$(cat "$MANIFESTS/$name.yaml")" != "$(cat "$KEEP/manifests/$name.yaml")" ] || continue
            sync
            put "$KEEP/manifests/$name.yaml" 0600 <"$MANIFESTS/$name.yaml"
        done
    done
}

# kubeadm tells of configurations that it can't take over by itself.
check_plan() {
    local table=$WORK/plan manual
    run_bounded upgrade plan "v$AIRSEED_KUBERNETES" >"$table" || { cat "$table" && kubeadm_failed "kubeadm upgrade plan failed"; }
    cat "$table"
    manual=$(awk '/MANUAL UPGRADE REQUIRED/ && /CURRENT/ { inside = 1; next } inside && NF == 4 && $4 == "yes" { printf "%s%s from %s to %s", (n++ ? ", " : ""), $1, $2, $3 }' "$table")
    [ -z "$manual" ] || fail "kubeadm wants this to be upgraded by hand: $manual" \
        "write these documents in the new version under kubeadm: in cluster.yaml, and write the change again" "$HOPELESS"
}

# The configuration in the cluster becomes what cluster.yaml says now; kubeadm takes all else from there.
# It looks for kubelet's by the release that stands in this one, which has to be that of before.
upload_configuration() {
    local SEED=$WORK/before.yaml code=0
    sed "s/^kubernetesVersion: .*/kubernetesVersion: v$AIRSEED_FROM/" "$CHANGE/$AIRSEED_STAGE.yaml" | put "$SEED" 0600
    run_phase init phase upload-config kubeadm || code=$?
    rm -f "$SEED"
    [ "$code" -eq 0 ] || kubeadm_failed "the cluster's configuration can't be written"
}

apply_release() { run_bounded upgrade apply "v$AIRSEED_KUBERNETES" -y || kubeadm_failed "kubeadm upgrade apply failed"; }

# Do something, and note among what was waited for how long it took.
timed() {
    local begun what=$1
    begun=$(now)
    shift
    "$@"
    printf '%d\t%s\n' "$(age "$begun")" "$what" >>"$WAITS"
}

upgrade_first() {
    timed "the cluster's configuration to be written" upload_configuration
    timed "kubeadm upgrade plan to end" check_plan
    timed "kubeadm upgrade apply to end" apply_release
}

# kubeadm's own copies, with all of etcd's data among them: each try makes new ones, and the disk has an end.
drop_copies() { rm -rf "$KUBERNETES"/tmp/kubeadm-backup-* "$KUBERNETES"/tmp/kubeadm-upgraded-*; }

main() {
    local copier=''
    drop_copies
    # kubeadm ends at once where nobody answers
    await_answer
    if [ ! -d "$KEEP/kubelet" ]; then
        keep pki manifests admin.conf controller-manager.conf scheduler.conf kubelet.conf
        keep_kubelet
        sync
    fi
    if is_control_plane; then
        keep_copying "$$" >/dev/null 2>&1 8>&- &
        copier=$!
    fi
    if [ "${AIRSEED_PLANES%% *}" = "$AIRSEED_NODE" ]; then
        upgrade_first
    else
        run_bounded upgrade node || kubeadm_failed "kubeadm upgrade node failed"
    fi
    [ -z "$copier" ] || kill "$copier" 2>/dev/null || true
    drop_copies
    sync
    # of this release, and by the certificates that kubeadm has renewed
    lay_endpoint
}

main
