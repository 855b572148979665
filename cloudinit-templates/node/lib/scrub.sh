#!/bin/bash
# Remove what nobody needs any more but a thief. Sourced.
#
# The order matters. cloud-init writes its copies again at every boot while a seed is attached, so
# it is turned off first; but without cloud-init nobody would say how the network is set up, so
# that is pinned before.

# After a restart cloud-init runs beside us. Whoever takes its seed away under its hands makes it take
# the machine for a new one, without a name.
cloud_init_is_through() { [ ! -e "$R/run/cloud-init/enabled" ] || [ -e "$R/run/cloud-init/result.json" ]; }

pin_cloud_init() {
    [ -d "$R/etc/cloud" ] || return 0
    printf '# by airseed: the network stays as it is\nnetwork: {config: disabled}\n' | put "$R/etc/cloud/cloud.cfg.d/99-airseed-network.cfg" 0644
    sync
    printf 'by airseed: this node is finished, and its seed holds secrets\n' | put "$R/etc/cloud/cloud-init.disabled" 0644
    sync
}

scrub() {
    local file
    pin_cloud_init
    rm -f "$SEED" "$KUBERNETES/bootstrap-kubelet.conf"
    # the user's commands have run, and the user's files are where they belong; either may hold secrets
    rm -rf "$ETC/before.sh" "$ETC/after.sh" "$ETC/files"
    rm -rf "${KEEP:?}" "$STATE/standby" "$STATE/etcd.yaml.standby" "$STATE/api.body" "$STATE/cluster-configuration"
    [ ! -d "$ETC/pki" ] || find "$ETC/pki" -type f ! -name '*.crt' -exec rm -f {} +
    for file in "$R"/var/lib/cloud/instances/*/user-data.txt* "$R"/var/lib/cloud/instances/*/vendor-data*.txt* \
        "$R"/var/lib/cloud/instances/*/cloud-config.txt "$R"/var/lib/cloud/instances/*/vendor-cloud-config.txt \
        "$R"/var/lib/cloud/instances/*/obj.pkl "$R"/var/lib/cloud/instances/*/combined-cloud-config.json \
        "$R"/run/cloud-init/instance-data*.json "$R"/run/cloud-init/combined-cloud-config.json; do
        [ ! -e "$file" ] || rm -f "$file"
    done
    rm -rf "$R"/var/lib/cloud/seed/* "$R"/var/lib/cloud/instances/*/scripts
    sync
}
