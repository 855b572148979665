#!/bin/bash
# Start the cluster, or join it.

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
for part in tls api lease etcd kubeadm registry init join; do
    # shellcheck source=/dev/null
    . "$LIBEXEC/lib/$part.sh"
done
load_environment

# kubelet.conf is whole: this machine is in already and its seed may be gone
[ -s "$SEED" ] || is_stamped joined || fail "$SEED is missing or empty" "cloud-init did not write the seed's files, or they were removed"

case $AIRSEED_ROLE in
init) initialise ;;
control-plane) join_control_plane ;;
worker) join_worker ;;
*) fail "AIRSEED_ROLE is $AIRSEED_ROLE" "init, control-plane or worker is expected" ;;
esac

# root's own kubectl
if is_control_plane; then put "$R/root/.kube/config" 0600 <"$ADMIN"; fi
