#!/bin/bash
# Make the bundle's manifests this cluster's own: image names, pod networks. Sourced.

# Print the manifest FILE with its images' names on this node: those in the registry, or tags where
# no registry knows a digest. The seed has the edits, made where the manifest was parsed; with a
# registry, what is not the very file that they were made for is not applied.
edit_images() {
    local digest edits='' expected keep drop text edited=$STATE/edited.yaml
    digest=$(sha256sum <"$1")
    [ ! -e "$ETC/manifests.edits" ] || edits=$(awk -v digest="${digest%% *}" '
        $1 == "manifest" { ours = $2 == digest; if (ours) print $3; next }
        ours
    ' "$ETC/manifests.edits") || return 1
    if [ -z "$edits" ]; then
        [ -z "$AIRSEED_REGISTRY" ] || return 1
        cat "$1"
        return
    fi
    {
        read -r expected
        while read -r keep drop text; do
            head -c "$keep" <&4
            head -c "$drop" <&4 >/dev/null
            printf '%s' "$text"
        done
        cat <&4
    } <<<"$edits" 4<"$1" >"$edited"
    printf '%s  %s\n' "$expected" "$edited" | sha256sum -c >/dev/null 2>&1 && cat "$edited" && rm -f "$edited"
}

# Set the pod networks in the Installation of Calico (operator) on standard input. Each family
# has a pool like the one that is there; IPv6 pools have /122 blocks and are not encapsulated.
set_pools() {
    awk -v subnets="$1" -v registry="$2" -v reach="${3:-}" '
        function flush(   n, subnet, i, j, line, six) {
            n = split(subnets, subnet, " ")
            for (i = 1; i <= n; i++) {
                six = subnet[i] ~ /:/
                for (j = 1; j <= held; j++) {
                    line = pool[j]
                    if (line ~ /cidr:/) sub(/cidr:.*/, "cidr: " (six ? "\"" subnet[i] "\"" : subnet[i]), line)
                    if (six && line ~ /blockSize:/) sub(/blockSize:.*/, "blockSize: 122", line)
                    if (six && line ~ /encapsulation:/) sub(/encapsulation:.*/, "encapsulation: None", line)
                    if (six && line ~ /name:/) sub(/ipv4/, "ipv6", line)
                    print line
                }
            }
            held = 0
            inside = 0
        }
        function width(text) { match(text, /^ */); return RLENGTH }
        /^---/ { if (inside) flush(); ours = 0 }
        /^kind: *Installation *$/ { ours = 1 }
        inside && ($0 ~ /^ *$/ || width($0) < margin || (width($0) == margin && $0 !~ /^ *-/)) { flush() }
        inside { pool[++held] = $0; next }
        ours && registry != "" && /^spec:/ { print; print "  registry: " registry "/"; next }
        ours && registry != "" && /^  registry:/ { next }
        ours && /^ *ipPools:/ {
            # of several cards Calico takes the one that leads there
            n = split(reach, address, " ")
            for (i = 1; i <= n; i++) {
                line = substr($0, 1, width($0))
                print line "nodeAddressAutodetectionV" (address[i] ~ /:/ ? "6" : "4") ":"
                print line "  canReach: \"" address[i] "\""
            }
            print; inside = 1; margin = width($0); next
        }
        { print }
        END { if (inside) flush() }
    '
}

# Set the pod networks in Calico of the plain manifest on standard input.
set_pool_variables() {
    local subnet four='' six=''
    for subnet in $1; do case $subnet in *:*) six=$subnet ;; *) four=$subnet ;; esac done
    awk -v four="$four" -v six="$six" -v reach="${2:-}" '
        function margin(text) { match(text, /^ */); return substr(text, 1, RLENGTH) }
        function say(indent, name, value) { print indent "- name: " name; print indent "  value: \"" value "\"" }
        # as shipped it is a comment; somebody may have taken the marks away
        /^ *(# )?- name: CALICO_IPV4POOL_CIDR/ {
            indent = margin($0)
            if (four != "") say(indent, "CALICO_IPV4POOL_CIDR", four)
            if (six != "") {
                say(indent, "CALICO_IPV6POOL_CIDR", six)
                say(indent, "IP6", "autodetect")
                if (four == "") { say(indent, "IP", "none"); say(indent, "CALICO_ROUTER_ID", "hash") }
            }
            # of several cards Calico takes the one that leads there
            n = split(reach, address, " ")
            for (i = 1; i <= n; i++) say(indent, (address[i] ~ /:/ ? "IP6" : "IP") "_AUTODETECTION_METHOD", "can-reach=" address[i])
            getline
            next
        }
        six != "" && /- name: FELIX_IPV6SUPPORT/ { print; getline; sub(/"false"/, "\"true\""); print; next }
        six != "" && /"type": "calico-ipam"/ {
            sub(/"type": "calico-ipam"/, "\"type\": \"calico-ipam\", \"assign_ipv4\": \"" (four != "" ? "true" : "false") "\", \"assign_ipv6\": \"true\"")
        }
        { print }
    '
}

# Print the manifest FILE as this cluster's own.
localise() {
    edit_images "$1" |
        case $AIRSEED_CNI in
        calico-operator) set_pools "$AIRSEED_POD_SUBNETS" "$AIRSEED_REGISTRY" "$AIRSEED_CNI_REACH" ;;
        calico-manifest) set_pool_variables "$AIRSEED_POD_SUBNETS" "$AIRSEED_CNI_REACH" ;;
        *) cat ;;
        esac
}
