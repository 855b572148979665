#!/bin/bash
# How the node enters the internal registry. Sourced.

registry_host() { printf '%s' "${AIRSEED_REGISTRY%%/*}"; }

# Print the base64 user:password of HOST out of a docker config.json.
registry_auth() {
    local host=$1 text
    text=$(tr -d ' \n\t\r' <"$ETC/registry.json")
    text=${text#*\""$host"\":\{}
    [ "$text" != "$(tr -d ' \n\t\r' <"$ETC/registry.json")" ] || return 1
    text=${text%%\}*}
    [[ $text =~ \"auth\":\"([A-Za-z0-9+/=]+)\" ]] || return 1
    printf '%s' "${BASH_REMATCH[1]}"
}

# Put the credentials where kubelet and docker look. kubeadm reset empties kubelet's folder.
place_credentials() {
    [ -s "$ETC/registry.json" ] || return 0
    put_noting runtime "$R/var/lib/kubelet/config.json" 0600 <"$ETC/registry.json"
    [ -e "$R/root/.docker/config.json" ] || put "$R/root/.docker/config.json" 0600 <"$ETC/registry.json"
}
