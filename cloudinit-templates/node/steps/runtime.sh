#!/bin/bash
# Configure and start the container runtime.
# reads: RUNTIME CGROUP_DRIVER CRI_SOCKET SANDBOX_IMAGE REGISTRY registry.json

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values registry runtime
load_environment

configure_docker() {
    local file=$R/etc/docker/daemon.json
    if [ -s "$file" ] && ! grep -q '"by=airseed"' "$file"; then
        # the user's own: it has to agree with kubelet
        grep -q "native.cgroupdriver=$AIRSEED_CGROUP_DRIVER" "$file" ||
            fail "$file does not set native.cgroupdriver=$AIRSEED_CGROUP_DRIVER" "kubelet and docker must have the same cgroup driver: add it to exec-opts"
    else
        put_noting runtime "$file" 0644
    fi <<JSON
{
  "exec-opts": ["native.cgroupdriver=$AIRSEED_CGROUP_DRIVER"],
  "labels": ["by=airseed"],
  "log-driver": "json-file",
  "log-opts": {"max-size": "100m", "max-file": "3"},
  "storage-driver": "overlay2"
}
JSON
}

# containerd 1.2 reads version 1 of its configuration only, and 2.0 names its plugins anew.
containerd_configuration() {
    local version auth='' host
    version=$(containerd --version | sed -E 's/.*[ :v]([0-9]+\.[0-9]+)\.[0-9]+.*/\1/')
    host=$(registry_host)
    [ ! -s "$ETC/registry.json" ] || auth=$(registry_auth "$host") || fail "$ETC/registry.json has no entry for $host" \
        "its form is docker's config.json: {\"auths\": {\"$host\": {\"auth\": \"...\"}}}"
    case $version in
    1.[0-2])
        printf 'oom_score = -999\n[plugins.cri]\n  sandbox_image = "%s"\n  systemd_cgroup = %s\n' "$AIRSEED_SANDBOX_IMAGE" "$1"
        containerd_registry plugins.cri "$host" "$auth"
        ;;
    0.* | 1.*)
        printf 'version = 2\noom_score = -999\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "%s"\n' "$AIRSEED_SANDBOX_IMAGE"
        printf '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n'
        printf '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n  SystemdCgroup = %s\n' "$1"
        containerd_registry 'plugins."io.containerd.grpc.v1.cri"' "$host" "$auth"
        ;;
    *)
        printf "version = 3\noom_score = -999\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = \"%s\"\n" "$AIRSEED_SANDBOX_IMAGE"
        printf "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n  runtime_type = 'io.containerd.runc.v2'\n"
        printf "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  SystemdCgroup = %s\n" "$1"
        containerd_registry "plugins.'io.containerd.cri.v1.images'" "$host" "$auth"
        ;;
    esac
}

containerd_registry() {
    local plugin=$1 host=$2 auth=$3
    [ -n "$auth" ] || return 0
    printf '[%s.registry.configs."%s".auth]\n  auth = "%s"\n' "$plugin" "$host" "$auth"
}

configure_containerd() {
    local systemd=false
    [ "$AIRSEED_CGROUP_DRIVER" != systemd ] || systemd=true
    containerd_configuration "$systemd" >"$STATE/config.toml"
    put_noting runtime "$R/etc/containerd/config.toml" 0600 <"$STATE/config.toml"
    rm -f "$STATE/config.toml"
    printf 'runtime-endpoint: unix://%s\n' "${AIRSEED_CRI_SOCKET#unix://}" | put "$R/etc/crictl.yaml" 0644
}

umask 077
"configure_$AIRSEED_RUNTIME"
umask 022
mend_before kubelet docker containerd
systemctl daemon-reload
systemctl enable "$AIRSEED_RUNTIME.service" kubelet.service
if is_changed runtime; then
    systemctl restart "$AIRSEED_RUNTIME.service"
    settled runtime
else
    systemctl start "$AIRSEED_RUNTIME.service"
fi
await_runtime
if [ "$AIRSEED_RUNTIME" = docker ]; then
    driver=$(docker info --format '{{.CgroupDriver}}')
    [ "$driver" = "$AIRSEED_CGROUP_DRIVER" ] || fail "docker uses the cgroup driver $driver, not $AIRSEED_CGROUP_DRIVER" \
        "kubelet and docker must have the same: look into /etc/docker/daemon.json and docker's unit"
fi
