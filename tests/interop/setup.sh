#!/bin/bash
# Install what the tests of tests/interop talk to: Debian's packages, and crane by `go install`.
#
# For Debian 12, as root. What is there already stays as it is, so it may be run any number of
# times. No service is started because its package is installed: the tests start their own, with
# folders and ports of their own, and stop them again.
set -euo pipefail

# the newest crane that the Go of Debian 12 (1.19) can build
readonly CRANE=v0.19.2

readonly PACKAGES=(
  apache2-utils busybox-static ca-certificates containerd createrepo-c dnf docker-registry docker.io etcd-server
  gnupg1 nginx-light openssl rpm runc skopeo systemd time
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

command -v dpkg-query >/dev/null || die "this is not Debian: there is no dpkg-query"
(( EUID == 0 )) || die "this installs packages and starts container engines: run it as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
install_packages "${PACKAGES[@]}"
install_crane "$root/build/interop"
