#!/bin/bash
# Keep the cluster's endpoint up, where the nodes do that themselves.
# reads: ENDPOINT_BY

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values endpoint
load_environment

lay_endpoint
