#!/bin/bash
# Run Packer on this folder: choose an accelerator, show the guest's console when it fails, and give the image
# its place only when it is whole.
# usage: build.sh [OUTPUT] [ARGUMENT OF packer build...]     OUTPUT is a folder that is not there yet (default: output)
# environment: AIRSEED_ACCELERATOR=kvm|hvf|tcg instead of a try; AIRSEED_KERNEL=FILE is what the try boots;
# AIRSEED_LEAST=MIB ends the build when the disk has less (default: 256)
set -euo pipefail
export LC_ALL=C CHECKPOINT_DISABLE=1

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUT=${1:-output}
[ "$#" -eq 0 ] || shift
PART=$OUT.part
CONSOLE=$PART.console.log
WORK=$(mktemp -d)
WATCHER=''

say() { printf 'image: %s\n' "$*" >&2; }

fail() {
    say "error: $1"
    say "hint: $2"
    exit 1
}

needed() {
    command -v packer >/dev/null || fail "there is no packer on PATH" "install it; airseed packer --profile 1.6 fits Debian's"
    command -v xorriso >/dev/null || command -v mkisofs >/dev/null || command -v genisoimage >/dev/null ||
        fail "nothing here makes the small CD that the guest starts with" "install xorriso, or give -var kickstart=http"
    [ ! -e "$OUT" ] || fail "$OUT is there already" "move it away, or name another folder"
}

# A /dev/kvm that opens proves nothing: boot a kernel, which has nothing to mount and says so.
works() {
    local kernel=$1 log
    log=$(mktemp)
    timeout "${AIRSEED_TRY:-20}" qemu-system-x86_64 -accel "$2" -m 256 -display none -no-reboot -serial "file:$log" \
        -kernel "$kernel" -append 'console=ttyS0 panic=-1' </dev/null >/dev/null 2>&1 || true
    if grep -qaE 'Kernel panic|Unable to mount root' "$log"; then
        rm -f "$log"
        return 0
    fi
    rm -f "$log"
    return 1
}

accelerator() {
    local kernel=${AIRSEED_KERNEL:-}
    [ -z "${AIRSEED_ACCELERATOR:-}" ] || { printf '%s' "$AIRSEED_ACCELERATOR" && return; }
    command -v qemu-system-x86_64 >/dev/null || fail "there is no qemu-system-x86_64 on PATH" "install qemu"
    if [ "$(uname -s)" = Darwin ]; then
        printf hvf
        return
    fi
    for kernel in ${kernel:-"/boot/vmlinuz-$(uname -r)" /boot/vmlinuz*}; do [ ! -r "$kernel" ] || break; done
    if [ ! -w /dev/kvm ]; then
        say "no /dev/kvm here: the machine is emulated, some ten times slower"
    elif [ ! -r "$kernel" ]; then
        say "no kernel in /boot to try /dev/kvm with (AIRSEED_KERNEL=FILE): the machine is emulated, some ten times slower"
    elif works "$kernel" kvm; then
        printf kvm
        return
    else
        say "/dev/kvm opens, but no kernel boots with it: the machine is emulated, some ten times slower"
    fi
    printf tcg
}

# qemu halts a guest whose disk can't grow any more, and Packer would wait for it for ever.
watch_room() {
    local free
    while sleep "${AIRSEED_LOOK:-5}"; do
        free=$(df -P -k "$(dirname "$PART")" | awk 'NR == 2 { print int($4 / 1024) }')
        [ -s "$WORK/pid" ] && [ "$free" -lt "${AIRSEED_LEAST:-256}" ] || continue
        printf '%s\n' "$free" >"$WORK/full"
        kill "$(cat "$WORK/pid")"
        return
    done
}

clean() {
    [ -z "$WATCHER" ] || kill "$WATCHER" 2>/dev/null || true
    rm -rf "$PART" "$PART.manifest.json" "$WORK"
}

# Run packer with its number and its words in WORK; give its exit code.
run_packer() {
    # shellcheck disable=SC2016 # for the inner shell
    "$BASH" -c 'echo $$ >"$0/pid" && exec packer build "$@"' "$WORK" "$@" 2>&1 | tee "$WORK/log"
    return "${PIPESTATUS[0]}"
}

# Say why there is no image, as far as what Packer said tells.
explain() {
    if [ -s "$WORK/full" ]; then
        fail "the disk of $OUT has $(cat "$WORK/full") MiB left: the build was ended" "make room, or name a folder on another disk"
    fi
    if grep -qE 'Timeout waiting for (SSH|IP)' "$WORK/log"; then
        fail "the guest got no address, or does not let Packer log in ($SECONDS s)" \
            "its network needs DHCP; the console says how far it came; -var ssh_timeout=90m gives a slow one more time"
    fi
    fail "no image was made (packer's exit code $1, after $SECONDS s)" "what bake said stands above, with its hint"
}

main() {
    local how=() code=0 chosen
    trap clean EXIT
    needed
    if [ -f "$HERE/source-qemu.pkr.hcl" ]; then
        chosen=$(accelerator)
        say "accelerator: $chosen; the guest's console is in $CONSOLE"
        how=(-var "accelerator=$chosen" -var "console_log=$CONSOLE")
    fi
    rm -rf "$PART" "$PART.manifest.json"
    if [ -n "${chosen:-}" ]; then
        watch_room &
        WATCHER=$!
    fi
    run_packer -var "output_directory=$PART" -var "manifest=$PART.manifest.json" ${how[@]+"${how[@]}"} "$@" "$HERE" || code=$?
    if [ "$code" -ne 0 ]; then
        if [ -s "$CONSOLE" ]; then
            say "the last lines of the guest's console:"
            tail -n 20 "$CONSOLE" | tr -d '\r' | cut -b 1-200 >&2
        fi
        explain "$code"
    fi
    [ -d "$PART" ] || mkdir "$PART"
    mv "$PART.manifest.json" "$PART/manifest.json"
    mv "$PART" "$OUT"
    say "done after $SECONDS s: $OUT"
}

main "$@"
