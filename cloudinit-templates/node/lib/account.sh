#!/bin/bash
# Ask the API server as the account of changes. Sourced by api.sh.
# seed: none has it; the script of a change brings it
# shellcheck disable=SC2034,SC2153 # API_* are for those who ask
#
# It lets no node's own name touch Leases but kubelet's (admission plugin NodeRestriction), so a node acts as an
# account, which lib/rights.sh opens to nodes. curl can't show who it is: that of CentOS 7 goes by NSS, which takes
# no key on an elliptic curve, as kubelet's is ("unable to load client key: -8178").

# Set ACCOUNT to kubectl's words for who asks whom.
know_account() {
    ACCOUNT=(--kubeconfig "$KUBERNETES/kubelet.conf" --server "https://$AIRSEED_ENDPOINT" --request-timeout=20s
        --as system:serviceaccount:airseed:change)
}

# Become what prints the changes of the list at PATH as they happen, for at most twenty seconds.
watch_as_account() {
    know_account
    exec kubectl ${ACCOUNT[@]+"${ACCOUNT[@]}"} get --raw "$1&watch=1" 2>/dev/null
}

# Ask METHOD PATH, sending the file BODY if one is named. Set API_CODE and, where it went wrong, API_TROUBLE to what
# was said; the answer is in API_BODY.
ask_as_account() {
    local verb=get said=$API_BODY.said
    # what is not to be validated needs no schema of all that the API server knows
    case $1 in POST) verb=create ;; PUT) verb='replace --validate=false' ;; DELETE) verb=delete ;; esac
    know_account
    API_CODE=200
    [ "$1" != POST ] || API_CODE=201
    API_TROUBLE=''
    # shellcheck disable=SC2086 # the verb may have an option
    kubectl ${ACCOUNT[@]+"${ACCOUNT[@]}"} $verb --raw "$2" ${3:+-f "$3"} >"$API_BODY" 2>"$said" && return
    API_TROUBLE=$(tail -n 1 "$said" 2>/dev/null | cut -b 1-300 | clean) || API_TROUBLE=''
    case $API_TROUBLE in
    *'(NotFound)'*) API_CODE=404 ;;
    *'(AlreadyExists)'* | *'(Conflict)'*) API_CODE=409 ;;
    *'(Forbidden)'*) API_CODE=403 ;;
    *'must be logged in'*) API_CODE=401 ;;
    *'Error from server'*) API_CODE=500 ;;
    *) API_CODE=000 ;;
    esac
}
