#!/bin/bash
# Configure and start the container runtime.
# reads: RUNTIME CGROUP_DRIVER CRI_SOCKET SANDBOX_IMAGE REGISTRY registry.json
# uses: KUBEADM_FILES

# shellcheck source=cloudinit-templates/node/lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/common.sh"
need values owners registry runtime
load_environment

# the first line of a configuration of ours
readonly MARK='# by airseed'

configure_docker() {
    local file=$R/etc/docker/daemon.json
    make_way "$file"
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
    printf '%s\n' "$MARK"
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
    local systemd=false file=$R/etc/containerd/config.toml
    [ "$AIRSEED_CGROUP_DRIVER" != systemd ] || systemd=true
    make_way "$file"
    if [ -s "$file" ] && ! head -n 1 "$file" | grep -qxF "$MARK" && ! is_packages "$file"; then
        say "$file is the user's own: it stays, and is checked when containerd runs"
    else
        containerd_configuration "$systemd" >"$STATE/config.toml"
        put_noting runtime "$file" 0600 <"$STATE/config.toml"
        rm -f "$STATE/config.toml"
    fi
    is_users "$R/etc/crictl.yaml" ||
        printf 'runtime-endpoint: unix://%s\n' "${AIRSEED_CRI_SOCKET#unix://}" | put "$R/etc/crictl.yaml" 0644
}

# docker tells what it goes by, whoever wrote its configuration.
check_docker() {
    local driver
    driver=$(docker info --format '{{.CgroupDriver}}')
    [ "$driver" = "$AIRSEED_CGROUP_DRIVER" ] || fail "docker uses the cgroup driver $driver, not $AIRSEED_CGROUP_DRIVER" \
        "kubelet and docker must have the same: look into /etc/docker/daemon.json and docker's unit"
}

# So does containerd, once its part for kubelet runs. Its answer has the registry's password: no word of
# it goes anywhere.
check_containerd() {
    local file=/etc/containerd/config.toml info host
    has crictl || return 0
    info=$(crictl --runtime-endpoint "unix://${AIRSEED_CRI_SOCKET#unix://}" info 2>/dev/null | tr -d ' \n\t') || info=''
    [[ $info == *'"config":{'* ]] || fail "containerd does not answer kubelet at $AIRSEED_CRI_SOCKET" \
        "$file must not have cri among its disabled_plugins; journalctl -u containerd says what else is wrong"
    [[ $info != *'"sandboxImage":"'* || $info == *"\"sandboxImage\":\"$AIRSEED_SANDBOX_IMAGE\""* ]] ||
        fail "containerd's sandbox_image is not $AIRSEED_SANDBOX_IMAGE" "no other is at hand here: set it in $file"
    [ "$AIRSEED_CGROUP_DRIVER" != systemd ] || by_systemd "$info" || fail "containerd does not leave cgroups to systemd" \
        "kubelet and containerd must do the same: set SystemdCgroup = true in $file for its default runtime (before containerd 1.3: systemd_cgroup = true)"
    [ -s "$ETC/registry.json" ] || return 0
    host=$(registry_host)
    [[ ${info#*"\"$host\":{"} == "$info" || ${info#*"\"$host\":{"} != *'"auth":{'* ]] || return 0
    fail "containerd has no credentials for $host" \
        "it pulls $AIRSEED_SANDBOX_IMAGE by itself: give $file a table registry.configs.\"$host\".auth"
}

# Tell whether the runtime that pods get by default has its cgroups from systemd.
by_systemd() {
    local name
    [[ $1 != *'"systemdCgroup":true'* ]] || return 0
    [[ $1 =~ \"defaultRuntimeName\":\"([^\"]+)\" ]] && name=${BASH_REMATCH[1]} || name=runc
    # its object alone: what stands where in it differs with crictl
    printf '%s\n' "${1#*\"runtimes\":\{}" | awk -v key="\"$name\":{" '
        place = index($0, key) {
            text = substr($0, place + length(key))
            depth = 1
            for (end = 1; end <= length(text) && depth; end++) {
                letter = substr(text, end, 1)
                if (letter == "{") depth++
                if (letter == "}") depth--
            }
            print substr(text, 1, end)
        }' | grep '"SystemdCgroup":true' >/dev/null
}

umask 077
"configure_$AIRSEED_RUNTIME"
umask 022
mend_before kubelet docker containerd
systemctl daemon-reload
systemctl enable "$AIRSEED_RUNTIME.service" kubelet.service
if is_changed runtime; then
    start_runtime restart
    settled runtime
else
    start_runtime start
fi
"check_$AIRSEED_RUNTIME"
