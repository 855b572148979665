#!/bin/bash
# Find the bundle and take members out of it. Sourced.
#
# In this order: unpacked in the image, a raw disk that is the bundle, a web server over the
# unpacked bundle. Wherever it comes from, SHA256SUMS must have the digest that the seed says,
# and every member that is used the digest that SHA256SUMS says.

PAYLOAD=$STATE/payload
# lists of members, beside them
LISTS=$STATE/lists
PAYLOAD_BAKED=$R/opt/airseed/bundle
PAYLOAD_KIND=''
PAYLOAD_AT=''
readonly PAYLOAD_MAGIC='airseed offline bundle, format 1'

# Set PAYLOAD_KIND (folder, disk or url) and PAYLOAD_AT, and keep the checked SHA256SUMS.
find_payload() {
    local seen='' disk web
    [ -z "$PAYLOAD_KIND" ] || return 0
    [[ $AIRSEED_SUMS =~ ^[0-9a-f]{64}$ ]] || fail "AIRSEED_SUMS is not a digest" "render the seed again"
    mkdir -p "$PAYLOAD" "$LISTS"
    if [ -f "$PAYLOAD_BAKED/SHA256SUMS" ]; then
        if accept_sums <"$PAYLOAD_BAKED/SHA256SUMS"; then
            PAYLOAD_KIND=folder PAYLOAD_AT=$PAYLOAD_BAKED
            return 0
        fi
        seen="$seen $PAYLOAD_BAKED"
    fi
    for disk in $(raw_disks); do
        if tar -n -x -O --occurrence=1 -f "$disk" SHA256SUMS 2>/dev/null | accept_sums; then
            PAYLOAD_KIND=disk PAYLOAD_AT=$disk
            return 0
        fi
        seen="$seen $disk"
    done
    if [ -n "$AIRSEED_PAYLOAD_URL" ]; then
        if from_url SHA256SUMS "$PAYLOAD/SHA256SUMS.fresh" && accept_sums <"$PAYLOAD/SHA256SUMS.fresh"; then
            PAYLOAD_KIND=url PAYLOAD_AT=${AIRSEED_PAYLOAD_URL%/}
            return 0
        fi
        [ ! -s "$PAYLOAD/SHA256SUMS.fresh" ] || seen="$seen $AIRSEED_PAYLOAD_URL"
    fi
    if [ -n "$seen" ]; then
        fail "this is not the bundle that the seed names, or it is damaged:$seen" \
            "take the bundle of this very cluster.lock; sha256sum SHA256SUMS must give $AIRSEED_SUMS"
    fi
    web="$AIRSEED_PAYLOAD_URL does not answer"
    [ -n "$AIRSEED_PAYLOAD_URL" ] || web='the seed names no URL'
    fail "no bundle was found: none in $PAYLOAD_BAKED, no disk that is one, and $web" \
        "attach bundle.tar as a disk, or serve its unpacked content at the seed's URL"
}

# Read SHA256SUMS from standard input and keep it when it is the one that the seed wants.
accept_sums() {
    local digest
    cat >"$PAYLOAD/SHA256SUMS.new"
    digest=$(sha256sum <"$PAYLOAD/SHA256SUMS.new")
    [ "${digest%% *}" = "$AIRSEED_SUMS" ] || { rm -f "$PAYLOAD/SHA256SUMS.new" && return 1; }
    mv -f "$PAYLOAD/SHA256SUMS.new" "$PAYLOAD/SHA256SUMS"
}

# Print the block devices that begin as a bundle does.
raw_disks() {
    local entry device
    for entry in "$R"/sys/class/block/*; do
        device=$R/dev/${entry##*/}
        [ -r "$device" ] && [ ! -d "$device" ] || continue
        [ "$(dd if="$device" bs=512 count=1 2>/dev/null | head -c 11 | tr '\000' .)" = README.txt. ] || continue
        [ "$(dd if="$device" bs=512 skip=1 count=1 2>/dev/null | head -n 1 | tr -d '\000')" = "$PAYLOAD_MAGIC" ] || continue
        printf '%s\n' "$device"
    done
}

# Fetch one member from the web server.
from_url() {
    printf 'url = "%s/%s"\noutput = "%s"\n' "${AIRSEED_PAYLOAD_URL%/}" "$(escaped "$1")" "$2" | fetch
}

# Run curl with the addresses on standard input. A bundle's host is inside: no proxy.
fetch() {
    curl -q -s -S -f -L --create-dirs --noproxy '*' --connect-timeout 10 --speed-limit 1 --speed-time 60 --retry 3 -K - >/dev/null
}

# Write a path as it stands in a URL; bundles have no other characters that matter in theirs.
escaped() { printf '%s' "$1" | sed -e 's/%/%25/g' -e 's/+/%2B/g' -e 's/ /%20/g' -e 's/#/%23/g' -e 's/?/%3F/g'; }

# Print the members below a PREFIX.
payload_list() {
    find_payload
    awk -v prefix="$1" '{ path = substr($0, 67) } index(path, prefix) == 1 { print path }' "$PAYLOAD/SHA256SUMS"
}

# Take the members that standard input names; BASE is where they stand afterwards, all checked.
take_payload() {
    local list=$LISTS/wanted missing member
    find_payload
    cat >"$list"
    BASE=$PAYLOAD
    [ "$PAYLOAD_KIND" != folder ] || BASE=$PAYLOAD_AT
    wrong_members "$list" >"$list.missing"
    [ -s "$list.missing" ] || return 0
    case $PAYLOAD_KIND in
    folder) ;;
    disk)
        if ! tar -n -x -m --no-same-owner --occurrence=1 -f "$PAYLOAD_AT" -C "$BASE" -T "$list.missing"; then
            refuse_delta "$list.missing"
            fail "$PAYLOAD_AT can't be read as a tar" "is it attached whole? its size must be the bundle's"
        fi
        ;;
    url)
        while IFS= read -r missing; do
            printf 'url = "%s/%s"\noutput = "%s"\n' "$PAYLOAD_AT" "$(escaped "$missing")" "$BASE/$missing"
        done <"$list.missing" | fetch || true
        ;;
    esac
    wrong_members "$list.missing" >"$list.wrong"
    if [ -s "$list.wrong" ]; then
        refuse_delta "$list.wrong"
        missing=$(head -n 1 "$list.wrong")
        while [ "$PAYLOAD_KIND" != folder ] && IFS= read -r member; do rm -f "${BASE:?}/$member"; done <"$list.wrong"
        fail "$missing, from $PAYLOAD_AT, is missing or not what SHA256SUMS says ($(wc -l <"$list.wrong") such files)" \
            "copy the bundle again; airseed verify finds what is wrong with it"
    fi
}

# Fail if the payload is a delta that leaves out one of the members in LIST.
#
# A delta has the SHA256SUMS of the whole bundle, so it is taken at first; unpacked over the bundle
# before it, it is whole, and may be used.
refuse_delta() {
    local text='' member
    case $PAYLOAD_KIND in
    folder) text=$(cat "$PAYLOAD_AT/DELTA.txt" 2>/dev/null || true) ;;
    disk) text=$(tar -n -x -O --occurrence=1 -f "$PAYLOAD_AT" DELTA.txt 2>/dev/null || true) ;;
    url) text=$(from_url DELTA.txt "$PAYLOAD/DELTA.txt" 2>/dev/null && cat "$PAYLOAD/DELTA.txt" || true) ;;
    esac
    [ "${text%%,*}" = 'airseed delta' ] || return 0
    while IFS= read -r member; do
        [[ $text$'\n' != *"  $member"$'\n'* ]] ||
            fail "$PAYLOAD_AT is a delta, which leaves out what was there before it, such as $member" \
                "combine both: airseed bundle DELTA --base OLD -o bundle.tar, and use the result"
    done <"$1"
}

# Print those of the members in LIST that BASE lacks or that have another digest.
wrong_members() {
    awk 'FILENAME == ARGV[1] { wanted[$0] = 1; next } substr($0, 67) in wanted' "$1" "$PAYLOAD/SHA256SUMS" >"$LISTS/sums"
    awk 'FILENAME == ARGV[1] { known[substr($0, 67)] = 1; next } !($0 in known)' "$LISTS/sums" "$1"
    (cd "$BASE" && sha256sum -c "$LISTS/sums" 2>/dev/null || true) | sed -n '/: OK$/!s/: FAILED.*$//p'
}

# Give the space back when the members were copies.
drop_payload() {
    [ "$PAYLOAD_KIND" = folder ] || rm -rf "${PAYLOAD:?}/$1"
}
