#!/bin/bash
# Put into this machine all that an image can have: host settings, packages, runtime, images.
# usage: bake.sh [FOLDER]     FOLDER is the folder guest of airseed packer (default: /tmp/guest)
set -euo pipefail
export LC_ALL=C
umask 022

R=${AIRSEED_ROOT:-}
FROM=${1:-$R/tmp/guest}
LIBEXEC=$R/usr/libexec/airseed
ETC=$R/etc/airseed
STATE=$R/var/lib/airseed
BUNDLE=$R/opt/airseed/bundle
UPLOADED=$R/var/tmp/bundle.tar

fail() {
    printf 'bake: %s\nbake: hint: %s\n' "$1" "$2" >&2
    exit 1
}

# Lay the scripts where a seed would, and the values of the image beside them.
lay_down() {
    [ -f "$FROM/image.env" ] || fail "$FROM is not the folder guest of airseed packer" "copy it here as a whole"
    mkdir -p "$LIBEXEC" "$ETC" "$R/etc/systemd/system" "$R/usr/bin"
    cp -R "$FROM/node/." "$LIBEXEC/"
    find "$LIBEXEC" -type f -exec chmod 0755 {} +
    install -m 0644 "$FROM"/node/*.service "$R/etc/systemd/system/"
    install -m 0644 "$FROM/image.env" "$FROM/image.checks" "$FROM/goss.yaml" "$FROM/traces" "$ETC/"
    install -m 0755 "$FROM/airseed-image-check" "$R/usr/bin/airseed-image-check"
}

# A bundle that was uploaded is unpacked where the scripts look first.
unpack() {
    [ -f "$UPLOADED" ] || return 0
    mkdir -p "$BUNDLE"
    tar -x -m --no-same-owner -f "$UPLOADED" -C "$BUNDLE" ||
        fail "the uploaded bundle can't be unpacked" "is the disk full, or the upload cut off? df -h; airseed verify"
    rm -f "$UPLOADED"
}

# Say what the plan says of itself: Packer shows nothing else of the guest.
bake() {
    local code=0
    "$BASH" "$LIBEXEC/run" bake || code=$?
    [ "$code" -ne 0 ] || return 0
    printf 'bake: failed; this is the guest'\''s own result:\n' >&2
    cat "$STATE/result.json" "$STATE/status.txt" >&2 2>/dev/null || true
    exit "$code"
}

# The plan is done: say in one file what this image is.
describe() {
    sed "s/@BUILT@/$(date -u +%Y-%m-%dT%H:%M:%SZ)/" "$FROM/image.json" >"$ETC/image.json.new"
    mv -f "$ETC/image.json.new" "$ETC/image.json"
}

lay_down
unpack
bake
describe
printf 'bake: %s is written\n' "$ETC/image.json"
