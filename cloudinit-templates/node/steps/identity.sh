#!/bin/bash
# Make this machine the node that the seed means: its name, whom it trusts, how it reaches others.
# reads: NODE ADDRESS RUNTIME REGISTRY NTP HTTP_PROXY HTTPS_PROXY NO_PROXY hosts registry-ca.pem registry.json

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values registry time
load_environment

# Our own lines stand between two marks, so that they can be written again.
write_hosts() {
    local file=$R/etc/hosts
    {
        [ ! -f "$file" ] || sed '/^# airseed begins$/,/^# airseed ends$/d' "$file"
        printf '# airseed begins\n'
        printf '%s %s\n' "$AIRSEED_ADDRESS" "$AIRSEED_NODE"
        [ ! -f "$ETC/hosts" ] || cat "$ETC/hosts"
        printf '# airseed ends\n'
    } >"$file.airseed"
    # it may be a mount: write into it
    cat "$file.airseed" >"$file"
    rm -f "$file.airseed"
}

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

write_hosts
trust_registry
place_credentials
write_proxy "$AIRSEED_RUNTIME"
write_chrony
# an image's runtime runs already, and knows nothing of this
! is_changed runtime || unstamp step-runtime
