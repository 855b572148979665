#!/bin/bash
# Take away what nobody needs of the runtime before, or give it back to who keeps it.
# seed: none has it; the script of a change brings it
# reads: RUNTIME RUNTIME_BEFORE LEAVE

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values
load_environment

# Remove those packages of LEAVE that are there; what they need stays, since others may, too.
remove_packages() {
    local name there=''
    for name in $AIRSEED_LEAVE; do ! rpm -q --quiet "$name" || there="$there $name"; done
    # shellcheck disable=SC2086 # several
    [ -z "$there" ] || rpm -e $there ||
        fail "${there# } can't be removed: another package needs them" "write the change again with --keep-docker, or remove that package"
}

# Of docker's data only what nobody else had anything in.
remove_data() {
    local top
    [ -s "$WORK/unused" ] || { say "docker's data stay: there are containers, images or volumes that are not Kubernetes'" && return; }
    top=$R$(cat "$WORK/unused")
    [ ! -d "$top" ] || find "$top" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
    rm -rf "$R/var/lib/dockershim"
}

main() {
    [ "$AIRSEED_RUNTIME_BEFORE" = docker ] && [ "$AIRSEED_RUNTIME" != docker ] || return 0
    if [ -z "$AIRSEED_LEAVE" ]; then
        systemctl enable docker.service docker.socket
        systemctl start docker.service
        return
    fi
    remove_packages
    remove_data
    ! grep -qs '"by=airseed"' "$R/etc/docker/daemon.json" || rm -f "$R/etc/docker/daemon.json"
    rm -f "$R"/etc/systemd/system/docker.service.d/airseed-*.conf
    rmdir "$R/etc/systemd/system/docker.service.d" 2>/dev/null || true
    systemctl daemon-reload
    ip link delete docker0 2>/dev/null || true
}

main
