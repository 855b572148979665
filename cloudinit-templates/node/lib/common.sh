#!/bin/bash
# What all scripts on the node share: where things are, how to write a file, how to wait and fail.
# Sourced. All paths have $R before them, which is empty but in tests (AIRSEED_ROOT).

# shellcheck disable=SC2034 # what is set here is used by those who source it
set -euo pipefail
export LC_ALL=C
# until CentOS 7.9 curl's NSS asks for thousands of files that are not there, by new names each time, to measure
# the disk: the kernel remembers them all
export NSS_SDB_USE_CACHE=no
umask 022

R=${AIRSEED_ROOT:-}
LIBEXEC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ETC=$R/etc/airseed
STATE=$R/var/lib/airseed
KUBERNETES=$R/etc/kubernetes
PKI=$KUBERNETES/pki
MANIFESTS=$KUBERNETES/manifests
SEED=$ETC/kubeadm.yaml
KEEP=$STATE/keep
REASON=$STATE/reason

LOADED=' common '

# Source the libraries NAME..., each once however many ask for it.
need() {
    local name
    for name; do
        [[ $LOADED != *" $name "* ]] || continue
        LOADED="$LOADED$name "
        # shellcheck source=/dev/null
        . "$LIBEXEC/lib/$name.sh"
    done
}

# Say one line: to the journal and the console when the runner says it, to the log from a step.
say() { printf '%s\n' "$*"; }

# Give up this try: MESSAGE says what is wrong, HINT what to do. With the code HOPELESS no further one helps
# where a plan has so many: somebody has to do something first.
HOPELESS=3
fail() {
    mkdir -p "$STATE"
    printf '%s\n%s\n' "${1//$'\n'/ }" "${2//$'\n'/ }" >"$REASON"
    say "error: $1"
    [ -z "$2" ] || say "hint: $2"
    exit "${3:-1}"
}

has() { type -P "$1" >/dev/null; }

# A runtime that hangs answers nobody and ends nothing: who asks it gives up. Loading has a limit of its own.
docker() { timeout --foreground "${AIRSEED_ASK_PATIENCE:-300}" docker "$@"; }
ctr() { timeout --foreground "${AIRSEED_ASK_PATIENCE:-300}" ctr "$@"; }
crictl() { timeout --foreground "${AIRSEED_ASK_PATIENCE:-300}" crictl "$@"; }

# Print where RUNTIME keeps images.
store_of() {
    local place=''
    case $1 in
    docker) place=$(json_field "$R/etc/docker/daemon.json" data-root 2>/dev/null) || true ;;
    containerd) place=$(sed -n 's/^root *= *["'\'']\([^"'\'']*\).*/\1/p' "$R/etc/containerd/config.toml" 2>/dev/null) || true ;;
    esac
    printf '%s' "${place:-/var/lib/$1}"
}

now() { date +%s; }

# Print the seconds since MOMENT; somebody may have set the clock back.
age() {
    local seconds=$(($(now) - $1))
    printf '%d' "$((seconds > 0 ? seconds : 0))"
}

# Seconds since power-on: nobody sets this clock.
clock() {
    local seconds
    if [ -r "$R/proc/uptime" ]; then
        read -r seconds _ <"$R/proc/uptime"
        printf '%s' "${seconds%.*}"
    else
        now
    fi
}

# Write standard input to PATH with MODE, whole or not at all. dd is the only command of CentOS 7
# that can wait until one file's data is on disk (its sync takes no names); QUICK does not wait.
put() {
    # kubelet takes every file of its manifests' folder but those with a dot in front
    local path=$1 mode=$2 quick=${3:-} fresh=${1%/*}/.${1##*/}.airseed-new
    [ -d "${path%/*}" ] || mkdir -p "${path%/*}"
    # errexit does not count where somebody asks how this went
    if ! (umask 077 && if [ -n "$quick" ]; then cat >"$fresh"; else dd of="$fresh" bs=65536 conv=fsync status=none; fi) ||
        ! chmod "$mode" "$fresh" || ! make_way "$path" || ! mv -fT "$fresh" "$path"; then
        rm -f "$fresh"
        say "error: $path can't be written" >&2
        return 1
    fi
    # by its name it may have another label than its folder, and somebody who asks for that
    [ ! -e "$R/sys/fs/selinux/enforce" ] || [[ $path == "$STATE"/* ]] || ! has restorecon || restorecon "$path" || true
}

# Take an empty folder away where a file belongs: docker makes one when somebody mounts a file that is not there.
make_way() { [ ! -d "$1" ] || [ -L "$1" ] || rm -d "$1"; }

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# The same; a change is noted under NOTE before it is made, and until somebody calls it settled.
put_noting() {
    local note=$1 path=$2 mode=$3 content
    content=$(cat && printf x)
    content=${content%x}
    if [ -f "$path" ] && [ "$(cat "$path" && printf x)" = "${content}x" ]; then
        chmod "$mode" "$path"
        return
    fi
    note_change "$note"
    printf '%s' "$content" | put "$path" "$mode"
}

note_change() { mkdir -p "$STATE/changed" && : >"$STATE/changed/$1"; }

is_changed() { [ -e "$STATE/changed/$1" ]; }

settled() { rm -f "$STATE/changed/$1"; }

# Run a command until it works, a second between, for at most SECONDS; show what is waited for.
wait_until() {
    local what=$1 limit=$2 begun
    shift 2
    begun=$(clock)
    until "$@"; do
        waiting "$what"
        if [ $(($(clock) - begun)) -ge "$limit" ]; then
            waited
            return 1
        fi
        sleep 1
    done
    waited
}

# The key that a host name or address is compared by: no brackets, no port.
host_of() {
    local host=$1
    case $host in
    \[*) host=${host#\[} && host=${host%%\]*} ;;
    *:*:*) ;;
    *) host=${host%:*} ;;
    esac
    printf '%s' "$host"
}

# The address in a form that a port can be added to.
bracketed() {
    case $1 in
    *:*) printf '[%s]' "$1" ;;
    *) printf '%s' "$1" ;;
    esac
}

need plan stamps result
