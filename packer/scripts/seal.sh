#!/bin/bash
# Remove from this machine what must not be in an image that others start from, and check the rest.
# usage: seal.sh     (after bake.sh; run twice, it finds nothing more to do)
set -euo pipefail
export LC_ALL=C
unset HISTFILE

R=${AIRSEED_ROOT:-}
ETC=$R/etc/airseed

# What the image has in it goes from the bundle, unless cluster.yaml says image.keep; manifests stay.
drop_bundle() {
    local AIRSEED_KEEP=''
    # shellcheck source=/dev/null
    . "$ETC/image.env"
    [ -n "$AIRSEED_KEEP" ] || rm -rf "$R"/opt/airseed/bundle/{images,yum,keys,files}
}

# What no machine may have from another one, by the same list that the check reads.
drop_traces() {
    local pattern path
    while IFS= read -r pattern; do
        # shellcheck disable=SC2086 # a pattern
        for path in $R$pattern; do
            if [ -e "$path" ] || [ -L "$path" ]; then rm -rf "$path"; fi
        done
    done <"$ETC/traces"
}

# Each machine makes its own at first start.
forget_identity() {
    : >"$R/etc/machine-id"
    chmod 0444 "$R/etc/machine-id"
    rm -f "$R/var/lib/dbus/machine-id"
    printf 'localhost.localdomain\n' >"$R/etc/hostname"
    find "$R/etc/sysconfig/network-scripts" -name 'ifcfg-*' ! -name ifcfg-lo -exec sed -i -e '/^HWADDR=/d' -e '/^UUID=/d' {} + 2>/dev/null || true
}

# Logs stay as empty files, since programs hold them open.
empty_logs() {
    rm -rf "$R/var/log/journal" "$R/run/log/journal"
    find "$R/var/log" -type f \( -name '*.gz' -o -name '*-20[0-9][0-9]*' -o -name '*.[0-9]' \) -delete
    find "$R/var/log" -type f -exec truncate -s 0 {} +
}

main() {
    [ -s "$ETC/image.json" ] || {
        printf 'seal: this machine is not baked: /etc/airseed/image.json is missing\nseal: hint: run bake.sh first\n' >&2
        exit 1
    }
    # kubelet has nothing to do before first boot, and would write while it fails
    [ -n "$R" ] || systemctl stop kubelet.service 2>/dev/null || true
    # at its end it would write a seed that all machines of the image share
    [ -n "$R" ] || systemctl stop systemd-random-seed.service 2>/dev/null || true
    # the next start is the first one of a node
    [ -n "$R" ] || systemctl enable cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service || true
    yum clean all >/dev/null 2>&1 || true
    drop_bundle
    drop_traces
    forget_identity
    empty_logs
    sync
    [ -n "$R" ] || fstrim --all 2>/dev/null || true
    "$BASH" "$R/usr/bin/airseed-image-check"
}

main
