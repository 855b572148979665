#!/bin/bash
# Install what the tests of tests/interop talk to and what make bench compares with: Debian's
# packages, crane and (where Go is new enough for it) cosign by `go install`, and the schema of SPDX
# out of a module that ships it.
#
# For Debian 12, as root. What is there already stays as it is, so it may be run any number of
# times. No service is started because its package is installed: the tests start their own, with
# folders and ports of their own, and stop them again.
set -euo pipefail

# the newest crane that the Go of Debian 12 (1.19) can build
readonly CRANE=v0.19.2
readonly COSIGN=v2.6.5 COSIGN_GO=25
readonly SYFT=v1.57.0 SCHEMA=spdx-schema-2.3.json

readonly PACKAGES=(
  apache2-utils busybox-static ca-certificates containerd createrepo-c curl dnf dnf-plugins-core
  docker-registry docker.io etcd-server gnupg1 locales nginx-light openssl rpm runc skopeo systemd
  time
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

# Debian 12's Go is too old for any cosign that can be trusted today; its tests are skipped then.
install_cosign() {
  local folder=$1 stamp=$1/cosign-$COSIGN minor
  [[ ! -x $folder/cosign || ! -e $stamp ]] || return 0
  minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  if (( ${minor:-0} < COSIGN_GO )); then
    say "cosign $COSIGN needs Go 1.$COSIGN_GO, this is $(go env GOVERSION): its tests will be skipped"
    return 0
  fi
  say "building cosign $COSIGN with $(go version) (some minutes)"
  GOBIN=$folder go install -ldflags=-s "github.com/sigstore/cosign/v2/cmd/cosign@$COSIGN" ||
    die "cosign cannot be built; go needs its module proxy (GOPROXY)"
  rm -f "$folder"/cosign-v*
  : > "$stamp"
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

command -v dpkg-query >/dev/null || die "this is not Debian: there is no dpkg-query"
(( EUID == 0 )) || die "this installs packages and starts container engines: run it as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
install_packages "${PACKAGES[@]}"
install_crane "$root/build/interop"
install_cosign "$root/build/interop"
install_schema "$root/build/interop"
