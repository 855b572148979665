#!/bin/bash
# Install Debian's packages without starting their services. Sourced by setups, which say and die.

missing_packages() {
  local name
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || printf '%s\n' "$name"
  done
}

install_packages() {
  local missing policy=/usr/sbin/policy-rc.d made='' code=0
  mapfile -t missing < <(missing_packages "$@")
  (( ${#missing[@]} )) || return 0
  say "installing ${missing[*]}"
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    made=yes
  fi
  {
    apt-get -qq update &&
      DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install \
        --no-install-recommends "${missing[@]}"
  } >&2 || code=$?
  [[ -z $made ]] || rm -f "$policy"
  (( code == 0 )) || die "apt-get failed; see above"
}
