#!/bin/bash
# JSON with bash and awk alone: write strings, read single values. Sourced.

# Make any bytes text: valid UTF-8 without control characters other than tab and newline.
clean() {
    { iconv -c -f UTF-8 -t UTF-8 2>/dev/null || true; } | tr -d '\000-\010\013-\037\177'
}

# Write one value as a JSON string.
json_string() {
    local text=$1
    case $text in
    *[!A-Za-z0-9\ ._:/,=+-]*)
        text=$(printf '%s' "$text" | clean |
            sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }')
        ;;
    esac
    printf '"%s"' "$text"
}

# Write the last COUNT lines of FILE as a JSON list of strings, each of at most 400 bytes.
json_lines() {
    local file=$1 count=$2
    printf '['
    if [ -f "$file" ]; then
        tail -n "$count" "$file" | cut -b 1-400 | clean |
            sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' |
            awk 'NR > 1 { printf ", " } { printf "\"%s\"", $0 }'
    fi
    printf ']'
}

# Print the first string that stands under KEY in the JSON document FILE, wherever it is nested.
json_field() {
    awk -v key="\"$2\"" '
        { text = text $0 "\n" }
        END {
            while (place = index(text, key)) {
                text = substr(text, place + length(key))
                if (match(text, /^[ \n\t]*:[ \n\t]*"/)) { text = substr(text, RLENGTH + 1); found = 1; break }
            }
            if (!found) exit 1
            while (length(text)) {
                if (match(text, /^[^"\\]+/)) {
                    printf "%s", substr(text, 1, RLENGTH)
                    text = substr(text, RLENGTH + 1)
                    continue
                }
                one = substr(text, 1, 1)
                if (one == "\"") exit 0
                one = substr(text, 2, 1)
                text = substr(text, 3)
                if (one == "n") printf "\n"
                else if (one == "t") printf "\t"
                else if (one == "r") printf "\r"
                else if (one == "u") { printf "%c", hex(substr(text, 1, 4)); text = substr(text, 5) }
                else printf "%s", one
            }
            exit 1
        }
        # the API server writes <, > and & so; no other character of what is read here needs it
        function hex(digits,   place, value) {
            for (place = 1; place <= 4; place++)
                value = value * 16 + index("0123456789abcdef", tolower(substr(digits, place, 1))) - 1
            return value
        }
    ' "$1"
}
