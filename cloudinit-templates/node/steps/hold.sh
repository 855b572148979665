#!/bin/bash
# Hold the packages of Kubernetes and of the runtime: no later yum update moves them.
# reads: HELD

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values
load_environment

readonly MARK='# held by airseed'

# The plugin's list has EPOCH:NAME-VERSION-RELEASE.*; what stands there already stays.
lock_versions() {
    local list=$1 name line
    {
        grep -vF "$MARK" "$list" 2>/dev/null || true
        for name in $AIRSEED_HELD; do
            line=$(rpm -q --qf '%|EPOCH?{%{EPOCH}}:{0}|:%{NAME}-%{VERSION}-%{RELEASE}.*' "$name") ||
                fail "$name is to be held, and is not installed" "the step packages comes before"
            printf '%s %s\n' "$line" "$MARK"
        done
    } | put "$list" 0644
}

# Without the plugin yum.conf leaves them out, beside what the user has there; airseed's own installation
# looks past that.
exclude() {
    local file=$R/etc/yum.conf
    awk -v names="$AIRSEED_HELD" '
        function ours() { if (main && !done) { print "exclude=" names others; done = 1 } }
        BEGIN { count = split(names, name, " "); for (i = 1; i <= count; i++) held[name[i]] = 1 }
        FNR == NR { if (/^\[/) inside = ($0 == "[main]")
            if (inside && sub(/^exclude *= */, "")) { gsub(/,/, " "); for (i = 1; i <= NF; i++) if (!($i in held)) others = others " " $i }
            next }
        /^\[/ { ours(); main = ($0 == "[main]") }
        main && /^exclude *=/ { next }
        { print }
        END { ours(); if (!done) print "[main]\nexclude=" names others }
    ' "$file" "$file" | put "$file" 0644
}

# Print the names that are held already: after an upgrade it is other versions of them.
held_before() { sed -n "s/^[0-9]*:\(.*\)-[^-]*-[^-]* $MARK\$/\1/p" "$R/etc/yum/pluginconf.d/versionlock.list" 2>/dev/null || true; }

main() {
    local plugin=$R/etc/yum/pluginconf.d
    [ -n "$AIRSEED_HELD" ] || AIRSEED_HELD=$(held_before | tr '\n' ' ')
    [ -n "$AIRSEED_HELD" ] || return 0
    if grep -qsE '^enabled *= *1' "$plugin/versionlock.conf"; then
        lock_versions "$plugin/versionlock.list"
    else
        [ -e "$R/etc/yum.conf" ] || : >"$R/etc/yum.conf"
        exclude
    fi
    say "held: $AIRSEED_HELD"
}

main
