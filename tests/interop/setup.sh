#!/bin/bash
# Install what the tests of tests/interop talk to and what make bench compares with: Debian's
# packages, crane and (where Go is new enough for them) others by `go install`, the schema of SPDX
# out of a module that ships it, and Ansible by pip.
#
# For Debian 12, as root. What is there already stays as it is, so it may be run any number of
# times. No service is started because its package is installed: the tests start their own, with
# folders and ports of their own, and stop them again.
set -euo pipefail

# the newest crane that the Go of Debian 12 (1.19) can build
readonly CRANE=v0.19.2
# Debian 12's Go is too old for these; tests that need them are skipped then
readonly NEWER_GO=25
readonly NEWER=(
  github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
  github.com/regclient/regclient/cmd/regctl@v0.11.7
  oras.land/oras/cmd/oras@v1.3.6
  sigs.k8s.io/cri-tools/cmd/crictl@v1.34.0
  github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
  github.com/distribution/distribution/v3/cmd/registry@v3.1.2
  github.com/vmware/govmomi/govc@v0.18.0
  github.com/vmware/govmomi/vcsim@v0.18.0
)
# the last one that takes machines with the Python of CentOS 7
readonly ANSIBLE=2.16.19
readonly AXE=4.14.1
readonly SYFT=v1.57.0 SCHEMA=spdx-schema-2.3.json

readonly PACKAGES=(
  apache2-utils busybox-static ca-certificates chromium containerd createrepo-c curl dnf dnf-plugins-core
  docker-registry docker.io etcd-server gnupg1 haproxy iputils-arping keepalived locales nginx-light openssh-client openssl packer
  qemu-system-x86 qemu-utils rpm runc skopeo systemd time xorriso
)

say() { printf 'interop setup: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# shellcheck source=tests/tools/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools/debian.sh"

install_crane() {
  local folder=$1 go stamp
  stamp=$folder/crane-$CRANE
  [[ ! -x $folder/crane || ! -e $stamp ]] || return 0
  if ! go=$(command -v go); then
    install_packages golang-go
    go=$(command -v go) || die "golang-go is installed, but there is no go on PATH"
  fi
  say "building crane $CRANE with $("$go" version)"
  mkdir -p "$folder"
  GOBIN=$folder "$go" install "github.com/google/go-containerregistry/cmd/crane@$CRANE" ||
    die "crane cannot be built; go needs its module proxy (GOPROXY)"
  rm -f "$folder"/crane-v*
  : > "$stamp"
}

install_newer() {
  local folder=$1 minor name module stamp
  minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  for module in "${NEWER[@]}"; do
    name=$(basename "${module%@*}")
    stamp=$folder/$name-${module##*@}
    [[ ! -x $folder/$name || ! -e $stamp ]] || continue
    if (( ${minor:-0} < NEWER_GO )); then
      say "$name needs Go 1.$NEWER_GO, this is $(go env GOVERSION): its tests will be skipped"
      continue
    fi
    say "building $name ${module##*@} with $(go version) (up to some minutes)"
    GOBIN=$folder CGO_ENABLED=0 go install -ldflags=-s "$module" ||
      die "$name cannot be built; go needs its module proxy (GOPROXY)"
    rm -f "$folder/$name"-v*
    : > "$stamp"
  done
}

install_schema() {
  local folder=$1 found
  [[ ! -s $folder/$SCHEMA ]] || return 0
  say "fetching the schema of SPDX 2.3"
  found=$(cd "$folder" && go mod download -json "github.com/anchore/syft@$SYFT" |
    sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  install -m 644 "$found/schema/spdx-json/$SCHEMA" "$folder/$SCHEMA" ||
    die "the schema of SPDX cannot be had; go needs its module proxy (GOPROXY)"
}

# what looks for faults of accessibility in the pages of airseed serve
install_axe() {
  local folder=$1 work
  [[ ! -s $folder/axe.js || ! -e $folder/axe-$AXE ]] || return 0
  if ! command -v npm >/dev/null; then
    say "there is no npm to fetch axe-core with: its tests will be skipped"
    return 0
  fi
  say "fetching axe-core $AXE"
  work=$(mktemp -d)
  (cd "$work" && npm pack --silent "axe-core@$AXE" >/dev/null && tar xzf ./axe-core-*.tgz) ||
    die "axe-core cannot be had; npm needs its registry"
  install -m 644 "$work/package/axe.min.js" "$folder/axe.js"
  rm -rf "$work" "$folder"/axe-[0-9]*
  : > "$folder/axe-$AXE"
}

install_ansible() {
  local folder=$1
  [[ ! -e $folder/ansible/$ANSIBLE ]] || return 0
  say "installing ansible-core $ANSIBLE"
  rm -rf "$folder/ansible"
  python3 -m venv "$folder/ansible"
  "$folder/ansible/bin/pip" install -q --disable-pip-version-check "ansible-core==$ANSIBLE" ||
    die "ansible-core cannot be had; pip needs its index"
  : > "$folder/ansible/$ANSIBLE"
}

command -v dpkg-query >/dev/null || die "this is not Debian: there is no dpkg-query"
(( EUID == 0 )) || die "this installs packages and starts container engines: run it as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
install_packages "${PACKAGES[@]}"
install_crane "$root/build/interop"
install_newer "$root/build/interop"
install_schema "$root/build/interop"
install_axe "$root/build/interop"
install_ansible "$root/build/interop"
