#!/bin/bash
# Why this node does not come up, in the words of what does not. Sourced.

need says images

# Give the last warning about a pod of this node; only an administrator may read it.
event_says() {
    [ -s "$KUBERNETES/admin.conf" ] || return 0
    kubectl --kubeconfig "$KUBERNETES/admin.conf" --request-timeout=5s get events --all-namespaces \
        --field-selector type=Warning,involvedObject.kind=Pod --sort-by=.lastTimestamp \
        -o "jsonpath={range .items[?(@.source.host==\"$AIRSEED_NODE\")]}{.involvedObject.name}: {.message}{\"\\n\"}{end}" 2>/dev/null |
        tail -n 1 | cut -b 1-300 | clean
}

# Give up with MESSAGE and what this node's programs say about it.
fail_saying() {
    local said
    said=$(node_says)
    fail "$1${said:+: $said}" "$2"
}

# Give why this node does not come up, or nothing: an image that is gone, what a program said that does
# not run, a pod's last event, kubelet's last error.
node_says() {
    local said missing
    if [ -s "$STATE/images/wanted" ] && missing=$(missing_images "$STATE/images/wanted" 2>/dev/null) && [ -n "$missing" ]; then
        printf 'images are missing: %s' "$(names_of "$missing")"
        return
    fi
    if ! systemctl is-active --quiet "$AIRSEED_RUNTIME.service"; then
        said=$(unit_says "$AIRSEED_RUNTIME")
        [ -z "$said" ] || { printf '%s: %s' "$AIRSEED_RUNTIME" "$said" && return; }
    fi
    if ! systemctl is-active --quiet kubelet.service; then
        said=$(unit_says kubelet)
        [ -z "$said" ] || { printf 'kubelet: %s' "$said" && return; }
    fi
    said=$(container_says)
    [ -n "$said" ] || said=$(event_says)
    if [ -z "$said" ]; then
        said=$(unit_says kubelet)
        said=${said:+kubelet: $said}
    fi
    printf '%s' "$said"
}
