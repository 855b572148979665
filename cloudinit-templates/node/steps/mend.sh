#!/bin/bash
# Mend what a power cut in an earlier run has torn, as far as this node needs it to speak with others at all:
# the API server that is asked may be this node's own.
# seed: none has it; the script of a change brings it
# always: the power may go any moment
# reads: NODE
# uses: ROLE KUBEADM_FILES REPOSITORIES SUMS PAYLOAD_URL MADE_BYTES RUNTIME IMAGES SKIP_PHASES ADDRESS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role kubeadm packages
load_environment

mend_files
! is_control_plane || mend_manifests
# a power cut may have torn the list of them, too
cut=$(tr -d '\000' 2>/dev/null <"$CUT") || cut=''
if [ -n "$cut" ]; then
    # shellcheck disable=SC2086 # several names
    install_packages $cut
    systemctl daemon-reload
    systemctl restart kubelet.service
fi
