#!/bin/bash
# Start the cluster, or join it.
# reads: NODE ROLE SKIP_PHASES ADDRESS ADDRESSES ENDPOINT PEERS RUNTIME CRI_SOCKET REGISTRY registry.json
# uses: CLUSTER ENDPOINT_BY ENDPOINT_CARD ENDPOINT_PLANES ENDPOINT_IMAGE KUBEADM_FILES ON_LINK FIREWALL FIREWALL_PORTS POD_SUBNETS IMAGES SUMS PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values api firewall kubeadm role init join units endpoint
load_environment

# what a kubeadm reset that was cut off may have taken
restore_users_files

open_ports

# again, before any pod runs: firewalld took its rules along, and iptables may be new here
"$LIBEXEC/actions/network"

# from now on they are needed, and a full disk can cost them
if [ -z "$AIRSEED_REGISTRY" ]; then
    put_units airseed-images.service airseed-images.timer
    systemctl start airseed-images.timer
fi

! is_control_plane || start_members_alone

# A node that is in has no seed any more. If a power cut took the stamp, what is here tells.
if [ ! -s "$SEED" ] && ! is_stamped joined; then
    node_looks_whole ||
        fail "$SEED is missing or empty" "cloud-init did not write the seed's files, or they were removed"
    start_kubelet
    wait_until "this node to be known to the cluster" "${AIRSEED_KNOWN_PATIENCE:-120}" node_is_known ||
        fail "the cluster does not know this node, and its seed is gone" "render a seed with the next generation for it"
    stamp_durably joined
fi

case $AIRSEED_ROLE in
init) initialise ;;
control-plane) join_control_plane ;;
worker) join_worker ;;
*) fail "AIRSEED_ROLE is $AIRSEED_ROLE" "init, control-plane or worker is expected" ;;
esac

# what had to wait for kubeadm's files
lay_endpoint

# whoever left and came again had it turned off
systemctl enable kubelet.service

# root's own kubectl
if is_control_plane && ! is_users "$R/root/.kube/config"; then put "$R/root/.kube/config" 0600 <"$ADMIN"; fi
