#!/bin/bash
# What to do about the usual failures, by what programs say. Sourced.

# Give the line of a log that tells most, else its last one; ours are told apart already.
last_words() {
    local log=$1 code=$2 ours=$3 pattern line=''
    if [ -f "$log" ]; then
        for pattern in '\[ERROR ' 'error|failed|fatal|denied|refused|cannot|no such' '[^[:space:]]'; do
            line=$(grep -vE '^(hint: |[[:space:]]*\[WARNING |\[preflight\] (If you know|Some fatal)|To see the stack trace)' "$log" |
                grep -vxF "error: $ours" | grep -iE -- "$pattern" | tail -n 1 | cut -b 1-300 | clean) || true
            [ -z "$line" ] || break
        done
    fi
    line=${line#"${line%%[![:space:]]*}"}
    printf '%s' "${line:-the step ended with exit code $code and said nothing}"
}

# Give a hint for a log's failure, or nothing. One line each: a pattern, a tab, the hint.
hint_for() {
    local pattern hint words
    [ -f "$1" ] || return 0
    words=$(tail -n 60 "$1" | grep -v '\[WARNING ') || return 0
    while IFS=$'\t' read -r pattern hint; do
        if grep -qiE -- "$pattern" <<<"$words"; then
            printf '%s' "$hint"
            return 0
        fi
    done <<'TABLE'
No space left on device	the disk is full: make it larger, or remove what is not needed
none of the public keys .* are pinned|cluster CA found in cluster-info .* is invalid	the cluster has another CA than the seed says: render this node's seed with the cluster's own secrets
unauthorized: |no basic auth credentials|pull access denied|failed to authorize|/v2/.*(401|unauthorized)	the registry wants a user and a password that it knows: give them in cluster.yaml
could not find a JWS signature|token id .* is invalid|Failed to request cluster-info.*(401|403)|Unauthorized	the bootstrap token is unknown or has expired: airseed secrets --rotate token, then render this node's seed again
decrypt|message authentication failed	the uploaded certificates are of another key than this seed's: run this node's own admit.sh on a control plane, as airseed seeds --node prints it
error downloading certs|Secret .kubeadm-certs. was not found	the uploaded certificates are gone: the first node uploads them again within a minute while its window is open; afterwards airseed secrets --rotate certificate-key
certificate signed by unknown authority|certificate verify failed	the server's certificate is of a CA that this machine does not trust: give the registry's CA in cluster.yaml
manifest unknown|not found: manifest|repository does not exist|manifest for .* not found	the registry lacks this image: publish the bundle to it, and compare its name with images.map
no such host|Temporary failure in name resolution|Could not resolve	a name can't be resolved: use an address, or give a nameserver or a line for /etc/hosts in cluster.yaml
server gave HTTP response to HTTPS client	the registry speaks plain HTTP: give it a certificate
ImagePull|failed to pull image	an image can't be pulled: is the registry reachable, and does it have the image?
\[ERROR Port-[0-9]+|address already in use	another program listens on a port that Kubernetes needs: ss -ltnp shows which
NumCPU|number of available CPUs	Kubernetes wants two CPUs: give the machine one more
running with swap on	swap is on again: what switched it on?
No package .* available|Nothing to do	the bundle lacks a package: is it the bundle of this cluster.lock?
GPG key|Public key for .* is not installed|NOKEY	a package is signed by a key that the bundle does not have: airseed verify the bundle
x509: certificate has expired or is not yet valid	the clocks differ: check the time on this machine and on the first control plane
timed out waiting for the condition|context deadline exceeded	something did not start in time: journalctl -u kubelet, and the containers' logs
TABLE
}
