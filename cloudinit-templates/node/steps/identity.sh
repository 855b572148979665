#!/bin/bash
# Make this machine the node that the seed means: its name, whom it trusts, how it reaches others.
# reads: NODE ADDRESS RUNTIME REGISTRY NTP HTTP_PROXY HTTPS_PROXY NO_PROXY hosts registry-ca.pem registry.json

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values registry time hosts
load_environment

# where the settings of runtimes are
readonly RUNTIMES='^/etc/((docker|containerd)/|systemd/system/(docker|containerd)\.)'

# Programs read the system's authorities when they start.
trust_registry() {
    [ -s "$ETC/registry-ca.pem" ] || return 0
    put_noting trust "$R/etc/pki/ca-trust/source/anchors/airseed-registry.pem" 0644 <"$ETC/registry-ca.pem"
    if is_changed trust; then
        note_change runtime
        ! has update-ca-trust || update-ca-trust
        settled trust
    fi
    if [ "$AIRSEED_RUNTIME" = docker ] && [ -n "$AIRSEED_REGISTRY" ]; then
        put "$R/etc/docker/certs.d/$(registry_host)/ca.crt" 0644 <"$ETC/registry-ca.pem"
    fi
}

# Programs read proxies from their unit; a percent sign is special there.
write_proxy() {
    local file=$R/etc/systemd/system/$1.service.d/airseed-proxy.conf name value
    if [ -z "$AIRSEED_HTTP_PROXY$AIRSEED_HTTPS_PROXY" ]; then
        [ ! -e "$file" ] || { note_change runtime && rm -f "$file"; }
        return 0
    fi
    {
        printf '[Service]\n'
        for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
            value=AIRSEED_$name
            [ -z "${!value}" ] || printf 'Environment="%s=%s"\n' "$name" "${!value//%/%%}"
        done
    } | put_noting runtime "$file" 0644
}

# What the user laid down for the runtime may be newer than its last start: an image's runs already.
heed_users_runtime() {
    local file
    grep -qsE "$RUNTIMES" "$ETC/user-files" || return 0
    grep -E "$RUNTIMES" "$ETC/user-files" | while IFS= read -r file; do
        sha256sum "$R$file" || true
    done | put_noting runtime "$STATE/users-runtime" 0600
}

# The kernel was set up before cloud-init laid the user's settings down.
heed_users_kernel() {
    local file
    if grep -qsE '^/etc/modules-load\.d/' "$ETC/user-files"; then
        systemctl restart systemd-modules-load.service || say "warning: not all modules of /etc/modules-load.d can be loaded"
    fi
    grep -qsE '^/etc/sysctl\.(d/|conf$)' "$ETC/user-files" || return 0
    for file in "$R"/etc/sysctl.d/*.conf "$R/etc/sysctl.conf"; do
        [ ! -f "$file" ] || sysctl -e -q -p "$file" || say "warning: not all of $file can be set"
    done
}

# Print FILE's settings as "NAME VALUE".
kernel_settings() { sed -E -n 's/^[[:space:]]*-?([a-z][^=[:space:]]*)[[:space:]]*=[[:space:]]*([^#;]*[^#;[:space:]]).*/\1 \2/p' "$1" | sed -E 'h; s/ .*//; y/\//./; G; s/\n[^ ]*//'; }

# Of two files that set one thing the later counts at every start. Whoever takes away what Kubernetes
# needs would end this node's network when it starts again.
check_kernel() {
    local file name value needed key set
    [ -f "$R/etc/sysctl.d/90-airseed.conf" ] || return 0
    kernel_settings "$R/etc/sysctl.d/90-airseed.conf" | while read -r name needed; do
        value=$needed
        for file in "$R"/etc/sysctl.d/*.conf "$R/etc/sysctl.conf"; do
            [ -f "$file" ] || continue
            while read -r key set; do
                [ "$key" != "$name" ] || value="$set in $file"
            done < <(kernel_settings "$file")
        done
        [ "${value%% *}" = "$needed" ] || fail "$name would be $value when this machine starts again" "Kubernetes needs $needed: take that line out"
    done
}

{
    printf '%s %s\n' "$AIRSEED_ADDRESS" "$AIRSEED_NODE"
    [ ! -f "$ETC/hosts" ] || cat "$ETC/hosts"
} | write_hosts airseed
heed_users_kernel
check_kernel
heed_users_runtime
trust_registry
place_credentials
write_proxy "$AIRSEED_RUNTIME"
write_chrony
# an image's runtime runs already, and knows nothing of this
! is_changed runtime || unstamp step-runtime
