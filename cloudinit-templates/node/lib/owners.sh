#!/bin/bash
# Whose a file is: kubeadm's by the names that this release has, the user's all others. Sourced.

SAVED=$STATE/user-files

# Print those of kubeadm's files that are there, of all or of one FOLDER of /etc/kubernetes.
kubeadm_files() {
    local name
    for name in $AIRSEED_KUBEADM_FILES; do
        [[ $name == "${1:+$1/}"* ]] && [ -e "$KUBERNETES/$name" ] || continue
        printf '%s\n' "$KUBERNETES/$name"
    done
}

remove_kubeadm_files() {
    local file
    kubeadm_files "${1:-}" | while IFS= read -r file; do rm -rf "$file"; done
}

# Tell whether machine.files laid PATH down.
is_users() { grep -qsxF -- "${1#"$R"}" "$ETC/user-files"; }

# Tell whether a file is as its package brought it.
is_packages() {
    local changes
    rpm -q --quiet -f "$1" 2>/dev/null || return 1
    changes=$(rpm -V --nodeps --noscripts --nomtime --nouser --nogroup --nomode -f "$1") || true
    [[ $changes != *" $1"* ]]
}

# Print what kubeadm reset might remove though it is the user's: what lies beside kubeadm's own files,
# whoever put it there, and all of machine.files.
users_files() {
    {
        find "$MANIFESTS" "$PKI" ! -type d 2>/dev/null || true
        [ ! -f "$ETC/user-files" ] || sed "s|^|$R|" "$ETC/user-files"
    } | sort -u >"$STATE/users"
    kubeadm_files >"$STATE/kubeadms"
    grep -vxF -f "$STATE/kubeadms" "$STATE/users" || true
    rm -f "$STATE/users" "$STATE/kubeadms"
}

# Copy the user's files away before kubeadm reset; a power cut in it loses none of them.
save_users_files() {
    local file
    restore_users_files
    rm -rf "$SAVED.new"
    (umask 077 && mkdir -p "$SAVED.new")
    users_files | while IFS= read -r file; do
        [ ! -e "$file" ] && [ ! -L "$file" ] || (cd "$R/" && cp -a --parents "${file#"$R"/}" "$SAVED.new")
    done
    sync
    mv "$SAVED.new" "$SAVED"
    sync
}

# Put back those that are gone.
restore_users_files() {
    local file
    [ -d "$SAVED" ] || return 0
    (cd "$SAVED" && find . ! -type d) | while IFS= read -r file; do
        file=${file#./}
        [ -e "$R/$file" ] || [ -L "$R/$file" ] || (cd "$SAVED" && cp -a --parents "$file" "$R/")
    done
    sync
    rm -rf "$SAVED"
}
