#!/bin/bash
# On the first control plane: what the snapshot says of the others is not so any more; they join anew.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE
# uses: ADDRESS CONTROL_PLANES CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL
# uses: ROLE RUNTIME SKIP_PHASES SUMS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values members
load_environment

[ "$AIRSEED_ROLE" = init ] || exit 0
others=''
for name in $AIRSEED_CONTROL_PLANES; do
    [ "$name" != "$AIRSEED_NODE" ] || continue
    others="$others $name"
    as_admin -n kube-system delete pods -l tier=control-plane --field-selector "spec.nodeName=$name" --force --grace-period=0 2>/dev/null
done
# shellcheck disable=SC2086 # several names
forget_api_server $others
