#!/bin/bash
# A copy of /etc/kubernetes, in memory, for kubeadm to write into: it writes no file whole or not at all,
# and not all that it writes is to be taken. Sourced.
#
# seed: none has it; the script of a change brings it

need kubeadm

ASIDE=$R/run/airseed-aside

# the authority's key is in it: it goes with this step, and what an earlier one left goes now
trap 'rm -rf "$ASIDE"' EXIT
rm -rf "$ASIDE"

lay_aside() {
    rm -rf "$ASIDE"
    (umask 077 && mkdir -p "$ASIDE")
    cp -a "$KUBERNETES/." "$ASIDE/"
    chmod 0700 "$ASIDE"
}

# Run one of kubeadm's phases with the copy in the place of the folder.
aside() {
    local code=0 limit=${AIRSEED_KUBEADM_PATIENCE:-1200}
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout --foreground "$limit" unshare -m "$BASH" -c 'mount --make-rprivate / && mount --bind "$1" "$2" && shift 2 && exec kubeadm "$@"' \
        aside "$ASIDE" "$KUBERNETES" "$@" --config "$SEED" || code=$?
    [ "$code" -ne 124 ] || say "error: kubeadm $1 did not end within $limit s"
    return "$code"
}

# Put FILE, as it was made aside, into its place.
take() {
    local mode=0600
    case $1 in *.crt) mode=0644 ;; esac
    put "$1" "$mode" <"$ASIDE/${1#"$KUBERNETES"/}"
}
