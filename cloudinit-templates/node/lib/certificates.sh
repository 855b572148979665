#!/bin/bash
# This node's certificates: which there are, when they end, what its servers show. Sourced.
#
# seed: none has it; the script of a change brings it

need kubeadm owners result tls

# Print "NAME FILE" of each that is there, by the names under which kubeadm renews them; it does not know
# kubelet's own two.
certificates() {
    local path name
    for path in $AIRSEED_KUBEADM_FILES; do
        case $path in
        pki/*.crt) name=${path#pki/} name=${name%.crt} ;;
        *kubelet.conf) continue ;;
        *.conf) name=$path ;;
        *) continue ;;
        esac
        [ ! -s "$KUBERNETES/$path" ] || printf '%s %s\n' "${name//\//-}" "$KUBERNETES/$path"
    done
    for path in kubelet-client-current.pem kubelet-server-current.pem kubelet.crt; do
        name=kubelet-server
        [ "$path" != kubelet-client-current.pem ] || name=kubelet-client
        [ ! -s "$KUBELET/pki/$path" ] || printf '%s %s\n' "$name" "$KUBELET/pki/$path"
    done
}

# Tell whether the certificate in FILE ends within SECONDS, or is no certificate at all.
ends_within() { ! certificate_of "$1" | openssl x509 -noout -checkend "$2" >/dev/null 2>&1; }

# Tell whether the clock of this machine is before the first moment of the certificate in FILE.
begins_later() {
    local begins
    begins=$(certificate_of "$1" | openssl x509 -noout -startdate 2>/dev/null) && [ "$(date -d "${begins#*=}" +%s)" -gt "$(now)" ]
}

# Print "NAME FILE" of what ends within SECONDS or does not fit its key, and was not made in this very
# stage: somebody may ask for more days than a certificate lives. An authority is no leaf.
due() {
    local name file
    certificates | while read -r name file; do
        case $name in *ca) continue ;; esac
        [ ! "$file" -nt "$BEGAN" ] || continue
        if ends_within "$file" "$1" || { [ "$file" != "${file%.crt}" ] && ! is_pair "$file" "${file%.crt}.key"; }; then
            printf '%s %s\n' "$name" "$file"
        fi
    done
}

fingerprint() { openssl x509 -noout -fingerprint -sha256 2>/dev/null; }

# Tell whether the server at PORT of this node shows the certificate in FILE.
shows() {
    local wanted
    wanted=$(fingerprint <"$2") || return 1
    [ "$(handshake "$AIRSEED_ADDRESS" "$1" 2>/dev/null | fingerprint)" = "$wanted" ]
}
