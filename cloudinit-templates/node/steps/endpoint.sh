#!/bin/bash
# Keep the cluster's endpoint up, where the nodes do that themselves: kubeadm asks there for the API server.
# reads: CLUSTER ROLE ADDRESS ENDPOINT ENDPOINT_BY ENDPOINT_CARD ENDPOINT_PLANES ENDPOINT_IMAGE
# uses: FIREWALL FIREWALL_PORTS POD_SUBNETS KUBEADM_FILES RUNTIME

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values endpoint firewall
load_environment

# control planes that don't hear each other would all carry the address
[ -z "$AIRSEED_ENDPOINT_BY" ] || open_ports
lay_endpoint
