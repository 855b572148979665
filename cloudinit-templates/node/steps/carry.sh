#!/bin/bash
# Bring up what keeps up the next endpoint on this node, or take that away where nobody asks at it any more; then
# see that an API server answers there.
# seed: none has it; the script of a change brings it
# reads: NODE ENDPOINT_NEXT ENDPOINT_BY ENDPOINT_CARD ENDPOINT_PLANES ENDPOINT_IMAGE
# uses: ADDRESS CLUSTER CNI CNI_REACH ENDPOINT FIREWALL FIREWALL_PORTS IMAGES KUBEADM_FILES MADE_BYTES
# uses: PAYLOAD_URL POD_SUBNETS ROLE RUNTIME SKIP_PHASES SUMS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values api endpoint undo-endpoint firewall kubeadm
load_environment

# Some machines let nobody in without a name: that is an answer, too.
answers() { api GET /version && [ "$API_CODE" != 000 ]; }

why_no_answer() {
    case $API_TROUBLE in
    *'no such host'*) printf 'its name is not known here' ;;
    *refused*) printf 'nobody listens there' ;;
    *timeout* | *'deadline exceeded'* | *'request canceled'*) printf 'no answer in time' ;;
    *x509*) printf 'the certificate there is of another authority, or has not this name' ;;
    *) printf '%s' "$API_TROUBLE" ;;
    esac
}

# Print the addresses of CNI_REACH that Calico on the nodes does not look for its own by yet, with the name of that
# setting in the family of each. Fails without an answer.
calico_misses() {
    local address name method
    for address in $AIRSEED_CNI_REACH; do
        name=IP_AUTODETECTION_METHOD
        case $address in *:*) name=IP6_AUTODETECTION_METHOD ;; esac
        method=$(as_admin -n "$CALICO" get daemonset calico-node -o "jsonpath={.spec.template.spec.containers[0].env[?(@.name==\"$name\")].value}") || return 1
        case $method in '' | first-found) printf '%s %s\n' "$name" "$address" ;; esac
    done
}

calico_is_led() {
    local missing
    missing=$(calico_misses) && [ -z "$missing" ] || return 1
    as_admin -n "$CALICO" rollout status daemonset calico-node --watch=false 2>/dev/null | grep 'successfully rolled out' >/dev/null
}

# By itself Calico takes the first address of a card for the node's, which may soon be the endpoint's: have it
# look for the one that leads to the first control plane, as first boot does. Whoever has chosen otherwise stays.
lead_calico() {
    local name address missing family
    CALICO=kube-system
    case $AIRSEED_CNI in calico-operator) CALICO=calico-system ;; calico-manifest) ;; *) return 0 ;; esac
    missing=$(calico_misses) || return 1
    # the power may have gone between telling it and its doing so
    if [ -n "$missing" ]; then stamp_durably leading; elif ! is_stamped leading; then return 0; fi
    while [ -n "$missing" ] && read -r name address; do
        family=4
        case $address in *:*) family=6 ;; esac
        if [ "$CALICO" = kube-system ]; then
            as_admin -n kube-system set env daemonset/calico-node "$name=can-reach=$address" || return 1
        else
            as_admin patch installation.operator.tigera.io default --type=merge \
                -p "{\"spec\":{\"calicoNetwork\":{\"nodeAddressAutodetectionV$family\":{\"firstFound\":null,\"canReach\":\"$address\"}}}}" || return 1
        fi
    done <<<"$missing"
    wait_until "Calico to look for the nodes' own addresses" "${AIRSEED_ROLLOUT_PATIENCE:-1800}" calico_is_led
}

before=$AIRSEED_ENDPOINT
AIRSEED_ENDPOINT=$AIRSEED_ENDPOINT_NEXT
if [ -n "$AIRSEED_ENDPOINT_BY" ]; then
    case $AIRSEED_ROLE/$AIRSEED_ENDPOINT_BY in
    init/keepalived | init/kube-vip)
        lead_calico || fail "Calico can't be told to look for the nodes' own addresses" "kubectl -n $CALICO rollout status daemonset calico-node" ;;
    esac
    open_ports
    lay_endpoint
elif [ "$before" = "$AIRSEED_ENDPOINT" ]; then
    take_endpoint_away
fi
wait_until "an API server to answer at $AIRSEED_ENDPOINT" "${AIRSEED_ENDPOINT_PATIENCE:-180}" answers ||
    fail "no API server answers at $AIRSEED_ENDPOINT: $(why_no_answer)" \
        "until it does, all go on asking at $before: mend what leads there, and run this machine's script again"
