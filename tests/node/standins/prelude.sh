#!/bin/bash
# What every stand-in does first: note how it was called, and pull the plug when it is its turn.
# Sourced. CALLS is the log, CRASH the number of the call at which the power goes.

# shellcheck disable=SC2034 # for those who source it
R=$AIRSEED_ROOT

# Ask the tests' API server what a node asks as the account of changes; how often that is depends on time, so it
# counts for nothing.
ask_raw() {
    local method=GET url='' path='' body='' user='' code said=$R/raw-answer.$BASHPID
    while [ "$#" -gt 0 ]; do
        case $1 in
        create) method=POST ;;
        replace) method=PUT ;;
        delete) method=DELETE ;;
        --server) url=$2 && shift ;;
        --as) user=$2 && shift ;;
        --raw) path=$2 && shift ;;
        -f) body=$2 && shift ;;
        esac
        shift
    done
    code=$(curl -q -s -o "$said" -w '%{http_code}' -X "$method" --max-time 20 --cacert "$R/etc/kubernetes/pki/ca.crt" \
        --cert "$R/var/lib/kubelet/pki/kubelet-client-current.pem" -H "Impersonate-User: $user" ${body:+--data-binary "@$body"} "$url$path") ||
        code="000$?"
    [[ $code != 2* ]] || cat "$said"
    rm -f "$said"
    case $code in
    2*) exit ;;
    401) echo 'error: You must be logged in to the server (Unauthorized)' ;;
    403) echo 'Error from server (Forbidden): no' ;;
    404) echo 'Error from server (NotFound): no' ;;
    409) echo 'Error from server (Conflict): no' ;;
    0007) echo "The connection to the server ${url#https://} was refused - did you specify the right host or port?" ;;
    0006) echo "Unable to connect to the server: dial tcp: lookup ${url#https://}: no such host" ;;
    0005* | 0006*) echo 'Unable to connect to the server: x509: certificate signed by unknown authority' ;;
    000*) echo "Unable to connect to the server: curl's code ${code#000}" ;;
    *) echo 'Error from server (InternalError): no' ;;
    esac >&2
    exit 1
}

[[ ${0##*/} != kubectl || " $* " != *' --as '* ]] || ask_raw "$@"
{ printf '%s' "${0##*/}"; [ "$#" -eq 0 ] || printf ' %q' "$@"; printf '\n'; } >>"$CALLS"
if [ -n "${CRASH:-}" ] && [ "$(wc -l <"$CALLS")" -ge "$CRASH" ]; then kill -9 0; fi
