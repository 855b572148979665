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
# how many of the places have been tried, and what was wrong with them
PAYLOAD_TRIED=0
PAYLOAD_FAULTS=''
PAYLOAD_HINT=''
readonly PAYLOAD_MAGIC='airseed offline bundle, format 1'
# Bytes a second: who sends less over half a minute has failed.
readonly PAYLOAD_SLOWEST=16384
# KiB of memory for tar; the archive of locales, which CentOS 7 maps, is a hundred MiB of it.
readonly TAR_LARGEST=524288

# Set PAYLOAD_KIND (folder, disk or url) and PAYLOAD_AT, and keep the checked SHA256SUMS.
find_payload() {
    local web
    [ -z "$PAYLOAD_KIND" ] || return 0
    ! next_payload || return 0
    [ -z "$PAYLOAD_FAULTS" ] || fail "$PAYLOAD_FAULTS" "$PAYLOAD_HINT"
    web="$AIRSEED_PAYLOAD_URL does not answer"
    [ -n "$AIRSEED_PAYLOAD_URL" ] || web='the seed names no URL'
    fail "no bundle was found: none in $PAYLOAD_BAKED, no disk that is one, and $web" \
        "attach bundle.tar as a disk, or serve its unpacked content at the seed's URL"
}

# Go on to the first of the places not tried yet that has the bundle of the seed.
next_payload() {
    local kind at number=0 others=''
    [[ $AIRSEED_SUMS =~ ^[0-9a-f]{64}$ ]] || fail "AIRSEED_SUMS is not a digest" "render the seed again"
    mkdir -p "$PAYLOAD" "$LISTS"
    [ "$PAYLOAD_TRIED" -gt 0 ] || { rm -f "$LISTS/sizes" && : >"$LISTS/taken"; }
    PAYLOAD_KIND=''
    while read -r kind at <&5; do
        number=$((number + 1))
        [ "$number" -gt "$PAYLOAD_TRIED" ] || continue
        PAYLOAD_TRIED=$number
        from_place "$kind" "$at" SHA256SUMS "$PAYLOAD/SHA256SUMS.fresh" "$AIRSEED_MADE_BYTES" || true
        if accept_sums; then
            PAYLOAD_KIND=$kind PAYLOAD_AT=$at
            return 0
        fi
        # a server that says nothing is none; whatever else was found is a bundle, if a bad one
        [ "$kind" = url ] && [ ! -s "$PAYLOAD/SHA256SUMS.fresh" ] || others="$others $at"
    done 5< <(payload_places)
    [ -z "$others" ] || payload_fault "this is not the bundle that the seed names, or it is damaged:$others" \
        "take the bundle of this very cluster.lock; sha256sum SHA256SUMS must give $AIRSEED_SUMS"
    return 1
}

# Print where a bundle may be, as "KIND PLACE", in the order of their trying.
payload_places() {
    local disk
    [ ! -f "$PAYLOAD_BAKED/SHA256SUMS" ] || printf 'folder %s\n' "$PAYLOAD_BAKED"
    for disk in $(raw_disks); do printf 'disk %s\n' "$disk"; done
    [ -z "$AIRSEED_PAYLOAD_URL" ] || printf 'url %s\n' "${AIRSEED_PAYLOAD_URL%/}"
}

# Remember what is wrong with a place; the first one's hint is told.
payload_fault() {
    say "$1"
    PAYLOAD_FAULTS=${PAYLOAD_FAULTS:+$PAYLOAD_FAULTS; }$1
    PAYLOAD_HINT=${PAYLOAD_HINT:-$2}
}

# Keep the SHA256SUMS that a place has when it is the one that the seed wants.
accept_sums() {
    local digest
    digest=$(sha256sum "$PAYLOAD/SHA256SUMS.fresh" 2>/dev/null || true)
    [ "${digest%% *}" = "$AIRSEED_SUMS" ] || return 1
    mv -f "$PAYLOAD/SHA256SUMS.fresh" "$PAYLOAD/SHA256SUMS"
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

# Copy a member of the bundle into TARGET. Who made the disk or serves the bundle decides neither how much
# comes, which is at most LIMIT bytes, nor how long that takes. A bundle's host is inside: no proxy.
from_place() {
    local kind=$1 at=$2 member=$3 target=$4 limit=$5 most=$((60 + $5 / PAYLOAD_SLOWEST))
    rm -f "$target"
    mkdir -p "${target%/*}"
    (
        # a sparse member has any size it likes; a server need not say one, and curl of CentOS 7 takes it all then
        ulimit -f "$(((limit + 1023) / 1024))"
        case $kind in
        folder) exec cat "$at/$member" >"$target" ;;
        disk)
            # tar keeps a long name or a pax header whole, and its size is the disk's word
            ulimit -v "$TAR_LARGEST"
            exec timeout "$most" tar -n -x -O --occurrence=1 -f "$at" "$member" >"$target"
            ;;
        url)
            at=$at/$(escaped "$member")
            # curl itself would follow at once, and read what else stands there until its time is over
            for _ in 1 2 3 4 5 6; do
                at=$(printf 'url = "%s"\noutput = "%s"\n' "$at" "$target" |
                    curl -q -s -S -f -w '%{redirect_url}' --proto '=http,https' --noproxy '*' \
                        --connect-timeout 10 --speed-limit "$PAYLOAD_SLOWEST" --speed-time "${AIRSEED_PAYLOAD_PATIENCE:-30}" \
                        --max-time "$most" --max-filesize "$limit" --retry 2 --retry-max-time 90 -K -) || exit 1
                [ -n "$at" ] || exit 0
            done
            exit 1
            ;;
        esac
    )
}

# Write a path as it stands in a URL; bundles have no other characters that matter in theirs.
escaped() { printf '%s' "$1" | sed -e 's/%/%25/g' -e 's/+/%2B/g' -e 's/ /%20/g' -e 's/#/%23/g' -e 's/?/%3F/g'; }

# Print the members below a PREFIX.
payload_list() {
    find_payload
    awk -v prefix="$1" '{ path = substr($0, 67) } index(path, prefix) == 1 { print path }' "$PAYLOAD/SHA256SUMS"
}

# Take the members that standard input names; BASE is where they stand afterwards, all checked. What one
# place does not have whole may be had at the next.
take_payload() {
    local list=$LISTS/wanted
    find_payload
    cat >"$list"
    cat "$list" >>"$LISTS/taken"
    until take_from_here "$list"; do
        next_payload || fail "$PAYLOAD_FAULTS" "$PAYLOAD_HINT"
        say "going on with $PAYLOAD_AT ($PAYLOAD_KIND)"
        # what was taken before stands elsewhere
        list=$LISTS/taken
    done
}

# Take the members in LIST from the place that was found.
take_from_here() {
    local list=$1 missing size member number=0 total
    BASE=$PAYLOAD
    [ "$PAYLOAD_KIND" != folder ] || BASE=$PAYLOAD_AT
    wrong_members "$list" >"$list.missing"
    [ -s "$list.missing" ] || return 0
    if [ "$PAYLOAD_KIND" != folder ] && know_sizes; then
        total=$(wc -l <"$list.missing")
        working "$total files to come from $PAYLOAD_AT"
        while read -r size missing; do
            number=$((number + 1))
            say "file $number of $total has $((size / 1048576)) MiB"
            from_place "$PAYLOAD_KIND" "$PAYLOAD_AT" "$missing" "$BASE/$missing" "$size" || break
        done < <(with_sizes "$list.missing")
        working ''
    fi
    wrong_members "$list.missing" >"$list.wrong"
    [ -s "$list.wrong" ] || return 0
    if ! delta_fault "$list.wrong"; then
        missing=$(head -n 1 "$list.wrong")
        payload_fault "$missing, from $PAYLOAD_AT, is missing or not what SHA256SUMS says ($(wc -l <"$list.wrong") such files)" \
            "copy the bundle again; airseed verify tells what is wrong with it"
    fi
    while [ "$PAYLOAD_KIND" != folder ] && IFS= read -r member; do rm -f "${BASE:?}/$member"; done <"$list.wrong"
    return 1
}

# The lock, which SHA256SUMS has the digest of, says how large what it names is.
know_sizes() {
    local lock=$LISTS/lock
    [ ! -s "$LISTS/sizes" ] || return 0
    printf 'cluster.lock\n' >"$lock"
    [ -z "$(wrong_members "$lock")" ] || from_place "$PAYLOAD_KIND" "$PAYLOAD_AT" cluster.lock "$BASE/cluster.lock" "$AIRSEED_MADE_BYTES" || return 1
    [ -z "$(wrong_members "$lock")" ] || return 1
    awk 'match($0, /"digest": "sha256:[0-9a-f]+", "size": [0-9]+/) {
        split(substr($0, RSTART, RLENGTH), part, /[:" ,]+/)
        print part[4], part[6]
    }' "$BASE/cluster.lock" >"$LISTS/sizes"
    [ -s "$LISTS/sizes" ]
}

# Print "BYTES PATH" for the members in LIST. What no lock names the bundle makes itself; the seed knows the
# largest of that.
with_sizes() {
    awk -v made="$AIRSEED_MADE_BYTES" '
        FILENAME == ARGV[1] { size[$1] = $2; next }
        FILENAME == ARGV[2] { path = substr($0, 67); if ($1 in size) known[path] = size[$1]; next }
        { print (($0 in known) ? known[$0] : made), $0 }
    ' "$LISTS/sizes" "$PAYLOAD/SHA256SUMS" "$1"
}

# Tell whether the payload is a delta that leaves out one of the members in LIST.
#
# A delta has the SHA256SUMS of the whole bundle, so it is taken at first; unpacked over the bundle
# before it, it is whole, and may be used.
delta_fault() {
    local text member
    # it has a line a member, and a few more
    from_place "$PAYLOAD_KIND" "$PAYLOAD_AT" DELTA.txt "$LISTS/DELTA.txt" "$((AIRSEED_MADE_BYTES + 65536))" 2>/dev/null || return 1
    text=$(cat "$LISTS/DELTA.txt")
    [ "${text%%,*}" = 'airseed delta' ] || return 1
    while IFS= read -r member; do
        [[ $text$'\n' == *"  $member"$'\n'* ]] || continue
        payload_fault "$PAYLOAD_AT is a delta, which leaves out what was there before it, such as $member" \
            "combine both: airseed bundle DELTA --base OLD -o bundle.tar"
        return 0
    done <"$1"
    return 1
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

# The copies of RPMs and images take room; a repository file that points to them would be wrong.
tidy_payload() {
    local file=$R/etc/yum.repos.d/airseed.repo
    rm -rf "${PAYLOAD:?}" "$STATE/manifests" "$LISTS"
    if grep -qsF "file://$PAYLOAD/" "$file"; then rm -f "$file"; fi
}
