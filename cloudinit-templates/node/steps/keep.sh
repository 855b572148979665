#!/bin/bash
# Keep in the image what first boot asks the bundle for when all else is there already: manifests. With
# image.keep that is all of it, so that images which are gone come back.
# reads: KEEP SUMS
# uses: PAYLOAD_URL MADE_BYTES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values payload
load_environment

main() {
    local list=$LISTS/kept
    find_payload
    awk -v all="$AIRSEED_KEEP" '{ path = substr($0, 67) } all || path == "cluster.lock" || path ~ /^manifests\// { print path }' \
        "$PAYLOAD/SHA256SUMS" >"$list"
    take_payload <"$list"
    [ "$BASE" != "$PAYLOAD_BAKED" ] || return 0
    mkdir -p "$PAYLOAD_BAKED"
    tar -cf - -C "$BASE" -T "$list" | tar -xf - -C "$PAYLOAD_BAKED"
    # first boot looks for this file: it comes last
    sync
    put "$PAYLOAD_BAKED/SHA256SUMS" 0644 <"$PAYLOAD/SHA256SUMS"
}

main
