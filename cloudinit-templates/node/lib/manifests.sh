#!/bin/bash
# Make the bundle's manifests this cluster's own: image names, pod networks. Sourced.

# Rewrite image references on standard input by the map FILE ("FROM TO" lines). Whatever stands
# under a key "image" counts, short names too; elsewhere only whole references. With STRICT, an
# image that the map lacks is an error, named on standard error.
rewrite_images() {
    awk -v map="$1" -v strict="${2:-}" '
        BEGIN {
            while ((getline line < map) > 0)
                if (split(line, pair, " ") == 2) { target[pair[1]] = pair[2]; known[pair[2]] = 1 }
        }
        # the full name, as the lock has it
        function full(name,   first, slash) {
            slash = index(name, "/")
            first = slash ? substr(name, 1, slash - 1) : ""
            if (!slash) name = "docker.io/library/" name
            else if (first !~ /[.:]/ && first != "localhost") name = "docker.io/" name
            if (name !~ /@/ && name !~ /:[^\/]*$/) name = name ":latest"
            return name
        }
        function replaced(name,   whole) {
            whole = full(name)
            if (whole in target) return target[whole]
            if (strict && !(name in known)) { print name > "/dev/stderr"; bad = 1 }
            return name
        }
        # the name without its tag or digest is no reference: only whole words are looked at
        function elsewhere(text,   out, word) {
            out = ""
            while (match(text, /[A-Za-z0-9][A-Za-z0-9._\/:@-]*/)) {
                word = substr(text, RSTART, RLENGTH)
                out = out substr(text, 1, RSTART - 1) ((word in target) ? target[word] : word)
                text = substr(text, RSTART + RLENGTH)
            }
            return out text
        }
        # KEY VALUE REST, where the value is all that belongs to the key
        function rewritten(text,   key, value) {
            if (!match(text, /^["\047]?image["\047]?:[ \t]*["\047]?/)) return elsewhere(text)
            key = substr(text, 1, RLENGTH)
            value = substr(text, RLENGTH + 1)
            if (!match(value, /^[a-z0-9][A-Za-z0-9._\/:@-]*/)) return key elsewhere(value)
            text = substr(value, RLENGTH + 1)
            value = substr(value, 1, RLENGTH)
            if (text !~ /^["\047]?[ \t\r]*($|[,}\]]|#)/) return key elsewhere(value text)
            return key replaced(value) elsewhere(text)
        }
        # a key begins a line, an entry of a list, or follows a brace or a comma
        {
            out = ""
            rest = $0
            while (match(rest, /(^|[{,-])[ \t]*["\047]?image["\047]?:/)) {
                start = RSTART
                match(substr(rest, start), /["\047]?image/)
                start += RSTART - 1
                out = out elsewhere(substr(rest, 1, start - 1))
                rest = rewritten(substr(rest, start))
                # what is rewritten already is not looked at again
                match(rest, /image["\047]?:/)
                out = out substr(rest, 1, RSTART + RLENGTH - 1)
                rest = substr(rest, RSTART + RLENGTH)
                done = 1
            }
            print out (done ? rest : elsewhere(rest))
            done = 0
        }
        END { exit bad }
    '
}

# Set the pod networks in the Installation of Calico (operator) on standard input. Each family
# has a pool like the one that is there; IPv6 pools have /122 blocks and are not encapsulated.
set_pools() {
    awk -v subnets="$1" -v registry="$2" '
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
        ours && /^ *ipPools:/ { print; inside = 1; margin = width($0); next }
        { print }
        END { if (inside) flush() }
    '
}

# Set the pod networks in Calico of the plain manifest on standard input.
set_pool_variables() {
    local subnet four='' six=''
    for subnet in $1; do case $subnet in *:*) six=$subnet ;; *) four=$subnet ;; esac done
    awk -v four="$four" -v six="$six" '
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

# Rewrite the manifest FILE for this cluster, to standard output.
localise() {
    local file=$1
    if [ -s "$ETC/images.map" ]; then
        rewrite_images "$ETC/images.map" "${AIRSEED_REGISTRY:+strict}" <"$file"
    else
        cat "$file"
    fi | case $AIRSEED_CNI in
    calico-operator) set_pools "$AIRSEED_POD_SUBNETS" "$AIRSEED_REGISTRY" ;;
    calico-manifest) set_pool_variables "$AIRSEED_POD_SUBNETS" ;;
    *) cat ;;
    esac
}
