#!/bin/bash
# Certificates, keys and kubeconfigs: are they whole, who is behind a port. Sourced.

is_certificate() { [ -s "$1" ] && openssl x509 -noout -in "$1" 2>/dev/null; }

is_key() { [ -s "$1" ] && openssl pkey -noout -in "$1" 2>/dev/null; }

is_public_key() { [ -s "$1" ] && openssl pkey -pubin -noout -in "$1" 2>/dev/null; }

# Tell whether CERTIFICATE and KEY are whole and belong together.
is_pair() {
    is_certificate "$1" && is_key "$2" || return 1
    [ "$(openssl x509 -pubkey -noout -in "$1")" = "$(openssl pkey -pubout -in "$2")" ]
}

# Tell whether a kubeconfig has a certificate and a key that can be read.
is_kubeconfig() {
    local file=$1 path
    [ -s "$file" ] && grep -q '^kind: Config' "$file" && grep -q 'server: https://' "$file" || return 1
    path=$(sed -n 's/^ *client-certificate: *//p' "$file")
    if [ -n "$path" ]; then
        is_certificate "$R$path"
        return
    fi
    sed -n 's/^ *client-certificate-data: *//p' "$file" | base64 -d 2>/dev/null | openssl x509 -noout 2>/dev/null &&
        sed -n 's/^ *client-key-data: *//p' "$file" | base64 -d 2>/dev/null | openssl pkey -noout 2>/dev/null
}

# Tell whether a static pod's manifest, or any document that kubeadm writes so, is whole.
is_manifest() { [ -s "$1" ] && grep -q '^kind: Pod' "$1" && [ "$(tail -n 1 "$1")" = 'status: {}' ]; }

# Print what openssl sees at HOST PORT, with OPTIONS; nothing when nobody speaks TLS there. It fails where the
# handshake does, as with who shows the certificate of another. The system's own authorities, which openssl of
# CentOS 7 adds to those of -CAfile, prove nothing.
handshake() {
    local place
    place=$(bracketed "$1"):$2
    shift 2
    SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/dev/null timeout 6 openssl s_client -connect "$place" "$@" </dev/null
}

# Tell whether a server at HOST PORT shows a certificate of the authority in FILE, by openssl's exit code: its words
# have names in them that whoever made a certificate chose.
shows_our_authority() { handshake "$1" "$2" -verify 9 -verify_return_error -CAfile "$3" >/dev/null 2>&1; }

# Tell whether nothing is wrong with that certificate but the time, by this machine's clock.
shows_ours_out_of_time() {
    local seen
    seen=$(handshake "$1" "$2" -verify 9 -CAfile "$3" 2>&1 >/dev/null | grep '^verify error:') && ! grep -qvE '=(9|10):' <<<"$seen"
}

# Tell whether anybody at HOST PORT speaks TLS.
speaks_tls() { [[ $(handshake "$1" "$2" 2>/dev/null) == *'BEGIN CERTIFICATE'* ]]; }

# Tell whether an API server, of whatever authority, answers at HOST PORT; none says more than a few lines.
is_api_server() {
    local answer
    answer=$(curl -q -s -k --max-time 6 --noproxy '*' -A airseed "https://$(bracketed "$1"):$2/version" 2>/dev/null | head -c 65536 | tr -d ' \t\r\n') || return 1
    [[ $answer == '{'*'"gitVersion":"v'* || $answer == '{"kind":"Status","apiVersion":"v1",'* ]]
}
