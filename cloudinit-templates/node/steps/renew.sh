#!/bin/bash
# Renew what ends soon, start what works with it again, and see that it shows.
# seed: none has it; the script of a change brings it
# reads: NODE RENEW
# uses: CLUSTER ENDPOINT_BY ENDPOINT_CARD ENDPOINT_IMAGE ENDPOINT_PLANES ROLE KUBERNETES KUBEADM_FILES RUNTIME ADDRESS ENDPOINT IMAGES SUMS PAYLOAD_URL MADE_BYTES SKIP_PHASES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values renewal endpoint
load_environment

if is_control_plane; then
    renew_files "$AIRSEED_RENEW"
    restart_pods
fi
renew_kubelet "$AIRSEED_RENEW"
! is_control_plane || prove_certificates
# kube-vip has read the certificate of before
lay_endpoint
