#!/bin/bash
# Bring up what keeps up the next endpoint on this node, or take that away where nobody asks at it any more; then
# see that an API server answers there.
# seed: none has it; the script of a change brings it
# reads: NODE ENDPOINT_NEXT ENDPOINT_BY ENDPOINT_CARD ENDPOINT_PLANES ENDPOINT_IMAGE
# uses: ADDRESS CLUSTER ENDPOINT FIREWALL FIREWALL_PORTS KUBEADM_FILES POD_SUBNETS ROLE RUNTIME

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values api endpoint undo-endpoint firewall
load_environment

# Some machines let nobody in without a name: that is an answer, too.
answers() { api GET /version && [ "$API_CODE" != 000 ]; }

why_no_answer() {
    case $API_TROUBLE in
    6) printf 'its name is not known here' ;;
    7) printf 'nobody listens there' ;;
    28) printf 'no answer in time' ;;
    51 | 60) printf 'the certificate there is of another authority, or has not this name' ;;
    *) printf "curl's code is %s" "$API_TROUBLE" ;;
    esac
}

before=$AIRSEED_ENDPOINT
AIRSEED_ENDPOINT=$AIRSEED_ENDPOINT_NEXT
if [ -n "$AIRSEED_ENDPOINT_BY" ]; then
    open_ports
    lay_endpoint
elif [ "$before" = "$AIRSEED_ENDPOINT" ]; then
    take_endpoint_away
fi
wait_until "an API server to answer at $AIRSEED_ENDPOINT" "${AIRSEED_ENDPOINT_PATIENCE:-180}" answers ||
    fail "no API server answers at $AIRSEED_ENDPOINT: $(why_no_answer)" \
        "until it does, all go on asking at $before: mend what leads there, and run this machine's script again"
