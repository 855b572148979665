#!/bin/bash
# Let the machine join again under its new name, and see it Ready.
# seed: none has it; the script of a change brings it
# reads: NODE CHANGE SUCCESSOR
# uses: ADDRESS CRI_SOCKET ENDPOINT IMAGES KUBEADM_FILES LEAVER LEAVER_ADDRESSES MADE_BYTES PAYLOAD_URL ROLE RUNTIME
# uses: SKIP_PHASES SUMS

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values role members
load_environment

is_in() {
    [ "$(as_admin get node "$AIRSEED_SUCCESSOR" --ignore-not-found -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

[ -n "$AIRSEED_SUCCESSOR" ] || exit 0
detour "$AIRSEED_ADDRESS"
"$BASH" "$CHANGE/admit-$AIRSEED_SUCCESSOR.sh" || fail "$AIRSEED_SUCCESSOR can't be let in" "the lines above say why"
wait_until "$AIRSEED_SUCCESSOR to be Ready" "${AIRSEED_TURN_PATIENCE:-3600}" is_in ||
    fail "$AIRSEED_SUCCESSOR has not joined" "what does airseed-status say on that machine?"
# what it joined by
as_admin -n kube-system delete secret kubeadm-certs "bootstrap-token-$(sed -n "s/^TOKEN='\{0,1\}\([a-z0-9]*\)\..*/\1/p" "$CHANGE/admit-$AIRSEED_SUCCESSOR.sh")" --ignore-not-found
# it may have come back for a moment before it left
as_admin delete node "$AIRSEED_LEAVER" --ignore-not-found --wait=false
no_detour
