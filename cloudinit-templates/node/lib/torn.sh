#!/bin/bash
# What programs keep and refuse to start with when a power cut tore it. Sourced.
#
# state.tsv has them: the program, its files, what whole ones look like, what to remove so that they are
# made again (a copy is put back, or the one before), and the words with which the program refuses what looks whole.

need json says tls

TORN_COPIES=$STATE/copies

# Print the rows of PROGRAM, one a file that is there: "TEST FILE TAB CURE TAB WORDS".
state_files() {
    local program files test cure words file docker containerd
    docker=$(store_of docker)
    containerd=$(store_of containerd)
    while IFS=$'\t' read -r program files test cure words; do
        [ "$program" = "$1" ] || continue
        files=${files/#DOCKER/$docker} cure=${cure//DOCKER/$docker}
        files=${files/#CONTAINERD/$containerd} cure=${cure//CONTAINERD/$containerd}
        for file in "$R"$files; do
            ! is_there "$file" || printf '%s\t%s\t%s\t%s\n' "$test" "$file" "$cure" "$words"
        done
    done <"$LIBEXEC/lib/state.tsv"
}

# Make again what is torn of PROGRAM's state, or what it NAMES in the line with which it ended. Nothing
# of it may run.
mend_state() {
    local test file cure words names=${2:-}
    state_files "$1" | while IFS=$'\t' read -r test file cure words; do
        # one that went with another
        is_there "$file" || continue
        if ! { [ -f "$file" ] && "is_$test" "$file"; }; then
            say "airseed: $file is damaged: it is made again"
        elif [[ $names == *"${file#"$R"}"* ]]; then
            say "airseed: $1 refuses $file: it is made again"
        else
            [ "$cure" != copy ] || keep_copy "$file"
            continue
        fi
        make_again "$file" "$cure"
    done
}

make_again() {
    local path
    # who mounts a file that is not there gets a folder of that name
    [ -f "$1" ] || [ -L "$1" ] || rm -rf "$1"
    # shellcheck disable=SC2086 # a pattern of folders
    case $2 in
    itself) rm -f "$1" ;;
    copy) restore_copy "$1" ;;
    pair) rm -rf "${1%.*}.crt" "${1%.*}.key" ;;
    previous) link_previous "$1" ;;
    layer) remove_layer "${1%/*}" ;;
    *) for path in $2; do rm -rf "$R"$path || true; done ;;
    esac
}

# docker forgets such a layer, but loads no other in its place while the folder is there.
remove_layer() {
    local store=${1%/image/*}/overlay2
    ! has_only "$1/cache-id" '[0-9a-f]{64}' || [[ $1 != */image/overlay2/* ]] || rm -rf "${store:?}/$REPLY"
    rm -rf "$1"
}

keep_copy() {
    local copy=$TORN_COPIES/${1##*/}
    [ -f "$copy" ] && [ "$(cat "$copy")" = "$(cat "$1")" ] || put "$copy" 0644 <"$1"
}

# Without a copy it stays: what is empty tells first boot more than what is not there.
restore_copy() {
    local copy=$TORN_COPIES/${1##*/}
    [ ! -s "$copy" ] || put "$1" 0644 <"$copy"
}

# Let kubelet take the newest certificate that is whole; each has its time in its name. Without one it asks
# for a new one, as long as it has a token.
link_previous() {
    local file last=''
    for file in "${1%-current.pem}"-[0-9]*.pem; do ! is_pem "$file" || last=${file##*/}; done
    if [ -z "$last" ]; then rm -f "$1" && return 0; fi
    ln -sfn "$last" "$1.new"
    mv -fT "$1.new" "$1"
}

# Tell whether PROGRAM's state is torn, by looking at it or by the words with which it ended.
state_is_torn() {
    local test file cure words said=${2:-}
    while IFS=$'\t' read -r test file cure words; do
        "is_$test" "$file" || return 0
        [ -z "$words" ] || [ "$(printf '%s' "$said" | grep -ciE -- "$words")" = 0 ] || return 0
    done < <(state_files "$1")
    return 1
}

has_zeros() { [ "$(tr -d '\000' <"$1" | wc -c)" -ne "$(wc -c <"$1")" ]; }

is_filled() { [ -f "$1" ] && [ -s "$1" ] && ! has_zeros "$1"; }

# Give in REPLY all that a small file has, if that fits PATTERN: read ends at a byte of zero.
has_only() {
    REPLY=''
    ! IFS= read -r -d '' REPLY 2>/dev/null <"$1" && [[ $REPLY =~ ^$2$ ]]
}

# A layer of docker's, with all that it stands on; FILE is its note of what it holds.
is_layer() {
    local folder=${1%/*} store
    has_only "$folder/diff" 'sha256:[0-9a-f]{64}' || return 1
    has_only "$folder/size" '-?[0-9]+' || return 1
    has_only "$folder/cache-id" '[0-9a-f]{64}' || return 1
    if [[ $folder == */image/overlay2/* ]]; then
        store=${folder%/image/*}/overlay2/$REPLY
        [ -d "$store/diff" ] && [ -s "$store/link" ] || return 1
    fi
    [ -e "$folder/parent" ] || return 0
    has_only "$folder/parent" 'sha256:[0-9a-f]{64}' && is_layer "${folder%/*}/${REPLY#sha256:}/diff"
}

is_text() { is_filled "$1" && [ -z "$(tail -c 1 "$1")" ]; }

# A certificate with its key: in one file, or in two that are of use together only.
is_pem() {
    case $1 in
    *.crt | *.key) is_pair "${1%.*}.crt" "${1%.*}.key" ;;
    *) is_pair "$1" "$1" ;;
    esac
}

# A document whose brackets close, and not before its end.
is_json() {
    is_filled "$1" && awk '
        { text = text $0 "\n" }
        END {
            gsub(/\\./, "", text)
            gsub(/"[^"]*"/, "", text)
            if (index(text, "\"") || text !~ /^[ \t\n]*[{[]/) exit 1
            gsub(/[^][{}]/, "", text)
            while (gsub(/\[\]|[{][}]/, "", text)) continue
            exit text != ""
        }' "$1"
}

# A database of bolt: one of its two first pages tells its size, and the page is as it was written.
is_bolt() {
    local page
    [ -s "$1" ] || return 1
    for page in 4096 16384 65536; do
        ! is_bolt_page "$1" 0 || return 0
        ! is_bolt_page "$1" "$page" || return 0
    done
    return 1
}

# magic, version, page size, flags, root, free list, number of pages, transaction; FNV-1a of all that
is_bolt_page() {
    local -a byte
    local sum=-3750763034362895579 place kept=0 size=0 pages=0
    # shellcheck disable=SC2207 # numbers
    byte=($(od -An -v -tu1 -j $(($2 + 16)) -N 64 "$1" 2>/dev/null)) || return 1
    [ "${#byte[@]}" -eq 64 ] && [ "${byte[*]:0:4}" = "237 218 12 237" ] || return 1
    for ((place = 0; place < 56; place++)); do sum=$(((sum ^ byte[place]) * 1099511628211)); done
    for ((place = 7; place >= 0; place--)); do
        kept=$((kept << 8 | byte[56 + place]))
        pages=$((pages << 8 | byte[40 + place]))
        [ "$place" -gt 3 ] || size=$((size << 8 | byte[8 + place]))
    done
    [ "$sum" -eq "$kept" ] && [ "$(stat -c %s "$1")" -ge $((pages * size)) ]
}

# etcd's log: a file that has its name has a first record.
is_wal() { [ -s "$1" ] && [ "$(head -c 8 "$1" | tr -d '\000' | wc -c)" -gt 0 ]; }
