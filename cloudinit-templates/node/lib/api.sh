#!/bin/bash
# Speak with the API server: a joining machine as the seed's bootstrap token, a node that makes a change
# as the account of changes. Sourced.
#
# The token goes to curl on its standard input: never an argument, never a file.

need json tls

API_BODY=$STATE/api.body
API_CODE=000
API_TROUBLE=0
# Bytes of the largest answer: of a server that is proved (a thousand Leases), and of anybody.
readonly API_LARGEST=16777216 API_LARGEST_OF_STRANGERS=65536
AUTHORITY=$STATE/authority.crt
KUBELET_CERTIFICATE=$R/var/lib/kubelet/pki/kubelet-client-current.pem

# Print the token of the seed's kubeadm.yaml.
token() {
    sed -n 's/^[- ]*token: *//p' "$SEED" | grep -oE '[a-z0-9]{6}\.[a-z0-9]{16}' | head -n 1
}

# Tell whether this is a node that makes a change.
makes_a_change() { [ -n "${AIRSEED_STAGE:-}" ] && [ -s "$KUBERNETES/kubelet.conf" ] && is_certificate "$KUBELET_CERTIFICATE"; }

# Ask METHOD PATH, sending the file BODY if one is named. Set API_CODE (000: no answer) and
# API_TROUBLE (curl's exit code); the answer is in API_BODY.
api() {
    local method=$1 path=$2 body=${3:-}
    if makes_a_change; then
        need account
        rm -f "$API_BODY"
        ask_as_account "$@"
        return
    fi
    requested "$API_LARGEST" < <(
        api_request "$method" "$path" "$body"
        printf 'cacert = "%s"\nheader = "Authorization: Bearer %s"\n' "$AUTHORITY" "$(token)"
    )
}

# Write what all requests have in common. With curl's own name the answer would be indented.
api_request() {
    printf 'url = "https://%s%s"\nrequest = "%s"\noutput = "%s"\n' "$AIRSEED_ENDPOINT" "$2" "$1" "$API_BODY"
    printf 'write-out = "%%{http_code}"\nuser-agent = "airseed"\nnoproxy = "*"\n'
    printf 'connect-timeout = 5\nmax-time = 20\n'
    [ -z "$3" ] || printf 'data-binary = "@%s"\nheader = "Content-Type: application/json"\n' "$3"
}

# Let curl make the request on standard input, with OPTIONS. The answer may have LIMIT bytes: whoever gives it says
# no size, or any, and curl of CentOS 7 takes all that comes.
ask_curl() (
    ulimit -f "$(($1 / 1024))"
    shift
    exec curl -q -s "$@" -K -
)

# The same, and note what came of it as api does.
requested() {
    API_TROUBLE=0
    rm -f "$API_BODY"
    API_CODE=$(ask_curl "$@" 2>/dev/null) || API_TROUBLE=$? API_CODE=000
    [ -f "$API_BODY" ] || : >"$API_BODY"
}

# Know the authority: from the seed, else from the cluster by the token's signature. Tell whether
# it is known now.
learn_authority() {
    mkdir -p "$STATE"
    if [ -s "$ETC/pki/ca.crt" ]; then
        is_certificate "$ETC/pki/ca.crt" || fail "$ETC/pki/ca.crt is not a certificate" "render the seed again"
        put "$AUTHORITY" 0644 <"$ETC/pki/ca.crt"
        return
    fi
    ! is_certificate "$AUTHORITY" || return 0
    discover_authority
}

# kubeadm signs what it tells everybody with each bootstrap token: only who knows the token can
# have written it. No token is sent before that is proved.
discover_authority() {
    local token signature head payload
    requested "$API_LARGEST_OF_STRANGERS" -k < <(api_request GET /api/v1/namespaces/kube-public/configmaps/cluster-info '')
    [ "$API_TROUBLE" -eq 0 ] || return 1
    token=$(token)
    signature=$(json_field "$API_BODY" "jws-kubeconfig-${token%.*}") || return 1
    json_field "$API_BODY" kubeconfig >"$STATE/cluster-info" || return 1
    head=${signature%%.*}
    payload=$(base64 -w 0 <"$STATE/cluster-info" | tr '+/' '-_' | tr -d '=')
    [ "$(printf '%s.%s' "$head" "$payload" | hmac "${token#*.}" | base64 -w 0 | tr '+/' '-_' | tr -d '=')" = "${signature##*.}" ] ||
        fail "the server at $AIRSEED_ENDPOINT does not know this cluster's bootstrap token" \
            "is the endpoint another cluster's, or the token of this seed an old one?"
    sed -n 's/^ *certificate-authority-data: *//p' "$STATE/cluster-info" | base64 -d | put "$AUTHORITY" 0644
    rm -f "$STATE/cluster-info"
    is_certificate "$AUTHORITY"
}

# Give the bytes of HMAC-SHA256 of standard input (RFC 2104) with a text KEY of at most 64 bytes.
# openssl would want the key as an argument.
hmac() {
    local key=$1 place byte inner='' outer='' digest
    for ((place = 0; place < 64; place++)); do
        byte=0
        [ "$place" -ge "${#key}" ] || printf -v byte '%d' "'${key:place:1}"
        printf -v inner '%s\\x%02x' "$inner" $((byte ^ 0x36))
        printf -v outer '%s\\x%02x' "$outer" $((byte ^ 0x5c))
    done
    # shellcheck disable=SC2059 # the format is the bytes
    digest=$({ printf "$inner" && cat; } | sha256sum)
    # shellcheck disable=SC2059
    digest=$({ printf "$outer" && printf "$(escaped_hex "${digest%% *}")"; } | sha256sum)
    # shellcheck disable=SC2059
    printf "$(escaped_hex "${digest%% *}")"
}

escaped_hex() { printf '%s' "$1" | sed 's/../\\x&/g'; }

# Tell whether the API server knows our token, and fail when it is clear that it never will.
api_knows_us() {
    learn_authority || return 1
    api GET "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
    if is_of_others; then
        # one that was learned may be that of an earlier cluster with the same token: it is asked for anew
        [ -s "$ETC/pki/ca.crt" ] || rm -f "$AUTHORITY"
        fail "the API server at $AIRSEED_ENDPOINT has a certificate that this cluster's authority did not sign, or not for now, $(date -u)" \
            "is it another cluster's? then give this one an endpoint of its own; else render the seed with its secrets"
    fi
    [ "$API_CODE" = 200 ] && cluster_is_announced
}

# Tell whether the last request ended at a certificate. Every kubeadm calls its authority kubernetes: curl with OpenSSL
# takes another one for ours, and stumbles over its signature only, as it does over what is no TLS.
is_of_others() {
    [[ $API_TROUBLE == 51 || $API_TROUBLE == 60 ]] ||
        { [[ $API_TROUBLE == 35 ]] && speaks_tls "$(host_of "$AIRSEED_ENDPOINT")" "${AIRSEED_ENDPOINT##*:}"; }
}

# kubeadm join begins with what is signed with our token. Everybody may read it but whoever has a
# name: kubeadm's rule is for system:anonymous alone.
cluster_is_announced() {
    {
        api_request GET /api/v1/namespaces/kube-public/configmaps/cluster-info ''
        printf 'cacert = "%s"\n' "$AUTHORITY"
    } | ask_curl "$API_LARGEST" >/dev/null 2>&1 || return 1
    grep -qs "jws-kubeconfig-$(token | cut -d . -f 1)\"" "$API_BODY"
}

# A node of our name that is Ready is another machine, or this one before it was made anew.
name_is_free() {
    api GET "/api/v1/nodes/$AIRSEED_NODE"
    [ "$API_CODE" != 200 ] || ! grep -qE '"type": ?"Ready", ?"status": ?"True"' "$API_BODY"
}
