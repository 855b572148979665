#!/bin/bash
# Make what the tests of tests/e2e run with: Debian's packages, and programs built from Go modules.
#
# For Debian 12, as root, with cgroup v1 (kubelet 1.18 knows no other). Everything that is built is
# kept in ${XDG_CACHE_HOME:-~/.cache}/airseed; what is there already stays as it is, so that this may
# be run any number of times: a first run takes ten minutes or twenty, later ones a second. No service
# is started because its package is installed.
# usage: setup.sh [image]     with "image" also what a machine of qemu's takes: Packer, and a system with a kernel
set -euo pipefail

# the releases of data/packages.yaml, and CoreDNS of each
readonly KUBERNETES=(1.18.5 1.19.5 1.20.15) COREDNS=(1.6.7 1.7.0)
# flannel is newer than this Kubernetes: older ones don't build with a Go of today. The plugins are
# the release that kubernetes-cni-0.8.6 carries.
readonly ANSIBLE=2.19.14 FLANNEL=v0.26.7 PLUGINS=v0.8.6 CRICTL=v1.34.0

readonly PACKAGES=(
  ca-certificates containerd createrepo-c debootstrap docker-registry docker.io etcd-client etcd-server gcc haproxy iproute2
  keepalived libc6-dev nginx-light openssh-client openssl procps rpm runc skopeo systemd-container util-linux
)
# The node's operating system. No jq, and cloud-init and dnf alone will see python3.
readonly NODE=(
  systemd systemd-sysv dbus cloud-init dnf rpm iptables conntrack socat ebtables ethtool iproute2 util-linux
  kmod procps tar xz-utils libdevmapper1.02.1 libseccomp2 python3-cffi-backend libsystemd0 openssl curl
  ca-certificates iputils-ping iputils-arping netbase mount
)
# What a whole machine has besides, and what makes it of a disk.
readonly WHOLE=(linux-image-cloud-amd64 initramfs-tools openssh-server sudo) \
  IMAGE=(extlinux packer qemu-system-x86 qemu-utils xorriso)

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
readonly here cache=${XDG_CACHE_HOME:-$HOME/.cache}/airseed/e2e

say() { printf 'e2e setup: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

check_machine() {
  command -v dpkg-query >/dev/null || die "this is not Debian: there is no dpkg-query"
  (( EUID == 0 )) || die "this boots machines: run it as root"
  local controller
  for controller in cpu cpuacct cpuset memory devices freezer pids; do
    grep -qE "^cgroup [^ ]+ cgroup ([^ ]*,)?$controller(,| )" /proc/mounts ||
      die "the cgroup v1 controller $controller is not mounted (boot with systemd.unified_cgroup_hierarchy=0)"
  done
  [[ -c /dev/loop-control ]] || die "there are no loop devices, which stand for the disks of machines"
}

# shellcheck source=tests/tools/debian.sh
. "$here/../tools/debian.sh"

need_go() {
  local version
  command -v go >/dev/null || install_packages golang-go
  version=$(go env GOVERSION)
  [[ $version =~ ^go1\.(2[4-9]|[3-9][0-9]) ]] ||
    die "crictl $CRICTL needs Go 1.24 or newer, this is $version (golang-1.24-go of bookworm-backports)"
}

# Build into a fresh folder and give it its name when everything is there.
built() {
  local name=$1 stamp=$2 maker=$3 fresh=$cache/$1.new
  [[ $(cat "$cache/$name/.stamp" 2>/dev/null) != "$stamp" ]] || return 0
  say "making $name ($stamp)"
  chmod -R u+w "$fresh" 2>/dev/null || true
  rm -rf "$fresh"
  mkdir -p "$fresh"
  "$maker" "$fresh" >&2
  printf '%s\n' "$stamp" > "$fresh/.stamp"
  rm -rf "${cache:?}/$name"
  mv "$fresh" "$cache/$name"
}

make_coredns() {
  GOBIN=$1 CGO_ENABLED=0 go install -ldflags '-s -w' "github.com/coredns/coredns@v$version"
}

make_crictl() {
  GOBIN=$1 CGO_ENABLED=0 go install -ldflags '-s -w' "sigs.k8s.io/cri-tools/cmd/crictl@$CRICTL"
}

make_flannel() (
  cd "$(mktemp -d)"
  trap 'rm -rf "$PWD"' EXIT
  printf 'module airseed.invalid/e2e\n\ngo 1.23.6\n' > go.mod
  go mod edit -require "github.com/flannel-io/flannel@$FLANNEL"
  # one of its ways to carry packets is written in C; this image has no libraries
  CGO_ENABLED=1 go build -mod=mod -o "$1/flanneld" \
    -ldflags "-s -w -X github.com/flannel-io/flannel/pkg/version.Version=$FLANNEL -extldflags -static" \
    github.com/flannel-io/flannel
)

make_plugins() (
  cd "$(mktemp -d)"
  trap 'rm -rf "$PWD"' EXIT
  printf 'module airseed.invalid/e2e\n\ngo 1.13\n' > go.mod
  go mod edit -require "github.com/containernetworking/plugins@$PLUGINS"
  for plugin in main/bridge main/loopback ipam/host-local meta/portmap meta/flannel; do
    CGO_ENABLED=0 go build -mod=mod -o "$1/" \
      -ldflags "-s -w -X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=$PLUGINS" \
      "github.com/containernetworking/plugins/plugins/$plugin"
  done
)

# A server for those that come by ssh; the node's image has all of its libraries.
make_ssh() (
  cd "$1"
  apt-get -qq download openssh-server
  dpkg -x openssh-server_*.deb .
  rm openssh-server_*.deb
)

make_ansible() {
  python3 -m venv "$1"
  "$1/bin/python" -m pip install -q --disable-pip-version-check "ansible-core==$ANSIBLE"
}

make_own() {
  gcc -Os -static -Wall -Wextra -Werror -o "$1/pause" "$here/programs/pause.c"
  (cd "$here/programs/runc" && GOFLAGS='' GO111MODULE=off CGO_ENABLED=0 go build -ldflags '-s -w' -o "$1/runc" main.go)
}

make_rootfs() { make_root "$1" "${NODE[@]}"; }

make_whole() { make_root "$1" "${NODE[@]}" "${WHOLE[@]}"; }

make_root() {
  debootstrap --variant=minbase --include="$(IFS=,; printf '%s' "${*:2}")" bookworm "$1/root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
  rm -rf "$1/root/var/cache/apt/archives"/*.deb "$1/root/var/lib/apt/lists"/*
}

digest() { cat "$@" | sha256sum | cut -c 1-16; }

check_machine
install_packages "${PACKAGES[@]}"
need_go
mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9
built rootfs "bookworm $(printf '%s\n' "${NODE[@]}" | sha256sum | cut -c 1-16)" make_rootfs
for version in "${COREDNS[@]}"; do built "coredns-$version" "$version" make_coredns; done
built flannel "$FLANNEL" make_flannel
built plugins "$PLUGINS" make_plugins
built crictl "$CRICTL" make_crictl
built ssh bookworm make_ssh
built ansible "$ANSIBLE" make_ansible
built own "$(digest "$here/programs/pause.c" "$here/programs/runc/main.go")" make_own
for version in "${KUBERNETES[@]}"; do
  kubernetes=$("$here/../interop/build-kubernetes" "$version" kubeadm kubelet kubectl kube-apiserver \
    kube-controller-manager kube-scheduler kube-proxy)
  ln -sfn "$kubernetes" "$cache/kubernetes-$version"
done
if [[ ${1:-} == image ]]; then
  install_packages "${IMAGE[@]}"
  built whole "bookworm $(printf '%s\n' "${NODE[@]}" "${WHOLE[@]}" | sha256sum | cut -c 1-16)" make_whole
fi
