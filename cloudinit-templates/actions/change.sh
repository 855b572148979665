# The lines in front of this one give CHANGE, DIGEST, CLUSTER, NODE and AUTHORITY, the sha256 of ca.crt; those
# behind it have files(), which lays files down, and the call of main.
# shellcheck shell=bash

usage() {
    cat <<'TEXT'
usage: NODE.sh [--no-wait | --follow] [--instead]

Make the change on this machine, as root. It lays down the node's scripts and what the change wants,
starts airseed-change.service, which comes again after a power cut, and shows its words until it ends;
its exit code is 0 when the change is done, 1 when it failed, 2 when it was refused. It may be run again
at any time: it goes on, or says that it is done. Start it on all machines in any order: they go one
after another by themselves.

  --no-wait   start it and leave
  --follow    start nothing; show how it goes on
  --instead   take the place of a change that was given up
TEXT
}

set -euo pipefail
export LC_ALL=C
umask 077

R=${AIRSEED_ROOT:-}
# its name afterwards, and whether the machine may be a bare one: for few changes only
RENAMED=${RENAMED:-} LOST=${LOST:-}
SCRIPTS=$R/usr/libexec/airseed
ETC=$R/etc/airseed
STATE=$R/var/lib/airseed
UNIT=airseed-change.service

refuse() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2 && exit 2; }

# Print the value of node.env that stands under a name.
value() (
    # shellcheck source=/dev/null
    . "$ETC/node.env"
    name=AIRSEED_$1
    printf '%s' "${!name:-}"
)

under_way() { awk -v part="$1" 'NR == 1 { printf "%s", $part }' "$ETC/change/id" 2>/dev/null || true; }

# systemd starts it again by itself where it was killed.
goes_on() { [[ $(systemctl is-active "$UNIT") == a* ]]; }

is_done() { [ -s "$STATE/changes/$1/change" ]; }

# Print the digest of the change that this machine knows by this one's name, "" where it knows none.
known_digest() { tr -dc 0-9a-f 2>/dev/null <"$STATE/changes/$CHANGE/digest" || true; }

# shellcheck disable=SC2153 # the values stand in front
check() {
    local name digest
    [ "$(id -u)" -eq 0 ] || refuse "this runs as $(id -un)" "run it as root: sudo bash $0"
    digest=$(known_digest)
    [ "${digest:-$DIGEST}" = "$DIGEST" ] || refuse "this machine knows another change of the name $CHANGE: ${digest:0:12}, and this one is ${DIGEST:0:12}" \
        "what was done there would pass for done here: write this one by a name of its own, with airseed changes --write --instead"
    # a machine that this very change takes out and in again is not what follows
    if [ "$(under_way 1) $(under_way 2)" = "$CHANGE $DIGEST" ]; then
        name=$(under_way 3)
        [ "$name" = "$NODE" ] && return 0
        refuse "this machine is $name, and this change is for $NODE" "run $name.sh of the same folder here"
    fi
    # a machine that was lost and is new has nothing yet
    [ -z "$LOST" ] || [ -s "$ETC/node.env" ] || return 0
    [ -s "$ETC/node.env" ] || refuse "this machine was not set up by airseed: $ETC/node.env is missing" "run it on the machine $NODE"
    name=$(value NODE)
    [ "$name" = "$NODE" ] || [ "$name" = "$RENAMED" ] || refuse "this machine is $name, and this change is for $NODE" "run $name.sh of the same folder here"
    digest=$(sha256sum 2>/dev/null <"$R/etc/kubernetes/pki/ca.crt") || digest=-
    [ -n "$AUTHORITY" ] || AUTHORITY=${digest%% *} # the first node made it, and nobody else knows it
    [ "${digest%% *}" = "$AUTHORITY" ] || [ "$LOST$digest" = 1- ] || refuse "this machine is in another cluster than $CLUSTER: its ca.crt is not that of this change" \
        "compare sha256sum /etc/kubernetes/pki/ca.crt with that of a control plane of $CLUSTER"
    [ -s "$STATE/stamps/plan-first-boot" ] || [ -n "$LOST" ] || refuse "the first boot of this machine is not through" "airseed-status says what it waits for"
    name=$(under_way 1)
    # one that the cluster has refused has touched nothing
    [ -z "$name" ] || is_done "$name" || is_done "$CHANGE" || [ -e "$ETC/change/refused" ] || [ -n "$INSTEAD" ] ||
        refuse "another change is under way on this machine: $name" \
            "let it end (airseed-status), or, if it was given up, run this with --instead on every machine"
}

# Lay down what standard input has: lay MODE WHERE PATH, where WHERE is scripts or change. There are more than a
# hundred, and others start with this machine: modes come together.
lay() {
    local path
    case $2 in scripts) path=$SCRIPTS.new/$3 ;; *) path=$ETC/change.new/$3 ;; esac
    [ -d "${path%/*}" ] || mkdir -p "${path%/*}"
    cat >"$path"
    printf '%s\n' "$path" >>"$MODES/$1"
}

# The same of bytes that are no text.
lay64() { base64 -d | lay "$@"; }

# Put all in place: the scripts file by file, so that none of those that run meanwhile is missing or half,
# and the change as a whole. They are written beside where they go: /var may be another disk, and SELinux lets
# systemd start nothing that comes from there.
lay_down() {
    local file folder names
    MODES=$STATE/change.modes
    rm -rf "$SCRIPTS.new" "$ETC/change.new" "$MODES"
    mkdir -p "$SCRIPTS.new" "$ETC/change.new" "$MODES" "$STATE/changes/$CHANGE"
    files
    for file in "$MODES"/*; do
        [ -e "$file" ] || continue
        mapfile -t names <"$file"
        chmod "${file##*/}" ${names[@]+"${names[@]}"}
    done
    printf '%s\n' "$DIGEST" >"$STATE/changes/$CHANGE/digest"
    printf '%s %s %s\n' "$CHANGE" "$DIGEST" "$NODE" >"$ETC/change.new/id"
    [ -z "$INSTEAD" ] || : >"$ETC/change.new/instead"
    sync
    find "$SCRIPTS.new" -type d | while IFS= read -r folder; do
        file=$SCRIPTS${folder#"$SCRIPTS.new"}
        [ -d "$file" ] || (umask 022 && mkdir -p "$file")
        find "$folder" -maxdepth 1 -type f -exec mv -f -t "$file" {} +
    done
    rm -rf "$ETC/change.old"
    [ ! -d "$ETC/change" ] || mv "$ETC/change" "$ETC/change.old"
    mv "$ETC/change.new" "$ETC/change"
    rm -rf "$ETC/change.old" "$SCRIPTS.new" "$MODES"
    (umask 022 && cat "$SCRIPTS/units/$UNIT" >"$R/etc/systemd/system/$UNIT")
    sync
    systemctl daemon-reload
    systemctl enable "$UNIT" 2>/dev/null
    systemctl start "$UNIT"
}

# Show what is said from here on, until the change ends; its exit code is that of the change.
follow() {
    local console=$STATE/changes/$CHANGE/console tail
    mkdir -p "${console%/*}"
    [ -e "$console" ] || : >"$console"
    tail -n +"$((${1:-0} + 1))" -f "$console" 2>/dev/null &
    tail=$!
    while ! is_done "$CHANGE" && goes_on; do sleep 1; done
    sleep 1
    kill "$tail" 2>/dev/null || true
    is_done "$CHANGE"
}

main() {
    local option start=1 stay=1 said=0
    INSTEAD=
    for option; do
        case $option in
        --no-wait) stay= ;;
        --follow) start= ;;
        --instead) INSTEAD=1 ;;
        -h | --help) usage && return ;;
        *) refuse "$option is not an option" "--no-wait, --follow or --instead; --help says more" ;;
        esac
    done
    # a run that was cut off between two names
    [ -d "$ETC/change" ] || [ ! -d "$ETC/change.old" ] || mv "$ETC/change.old" "$ETC/change"
    check
    if is_done "$CHANGE"; then
        printf 'airseed: %s is done on %s\n' "$CHANGE" "$NODE"
        return
    fi
    said=$(wc -l 2>/dev/null <"$STATE/changes/$CHANGE/console") || said=0
    if [ -n "$start" ] && [ -n "$INSTEAD" ] && [ "$(under_way 1) $(under_way 2)" != "$CHANGE $DIGEST" ]; then
        # it may wait for its turn still
        systemctl stop "$UNIT" || true
    fi
    # what runs is not laid down anew under its feet
    if [ -n "$start" ] && ! goes_on; then lay_down; fi
    [ -n "$stay" ] || return 0
    follow "$said" || { printf 'airseed: %s is not done on %s; airseed-status says why, and this script goes on with it\n' "$CHANGE" "$NODE" >&2 && return 1; }
}
