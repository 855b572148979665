#!/bin/bash
# Packages from the bundle: installing them, and going on with what a power cut left of that. Sourced.

need payload

CUT=$STATE/yum-runs

# rpm of CentOS 7 asks by name-version-release, without the epoch that yum takes.
plain() { printf '%s' "$1" | sed -E 's/-[0-9]+:/-/'; }

# Print which of the packages NAMES are not installed.
missing_packages() {
    local package
    for package; do
        rpm -q --quiet "$(plain "$package")" || printf '%s\n' "$package"
    done
}

# Write a repository file for the bundle's folders. They are used only where they are named.
write_repositories() {
    local name key keys=''
    for key in $(payload_list keys/); do keys="$keys file://$BASE/$key"; done
    for name in $AIRSEED_REPOSITORIES; do
        printf '[airseed-%s]\nname=airseed bundle, %s\nbaseurl=file://%s/yum/%s\nenabled=0\ngpgcheck=1\n' "$name" "$name" "$BASE" "$name"
        # another bundle may come at the same place
        printf 'gpgkey=%s\nmetadata_expire=1\n\n' "${keys# }"
    done | put "$R/etc/yum.repos.d/airseed.repo" 0644
}

# A power cut in a transaction leaves locks, half of an update, and files that are not on disk.
mend_cut_transaction() {
    say "the last installation was interrupted: repairing it"
    rm -f "$R"/var/lib/rpm/__db.* "$R"/var/lib/rpm/.rpm.lock "$R"/var/run/yum.pid
    if ! rpm --rebuilddb; then
        say "warning: the packages' database can't be rebuilt, going on with what it has"
        rm -rf "$R"/var/lib/rpmrebuilddb.*
    fi
    if has yum-complete-transaction; then
        yum-complete-transaction -y --cleanup-only
    else
        rm -f "$R"/var/lib/yum/transaction-all.* "$R"/var/lib/yum/transaction-done.*
    fi
}

# Print the installed packages with files that are gone or changed, other than configuration.
damaged_packages() {
    local file name changes
    for file in $(payload_list yum/ | grep '/Packages/.*\.rpm$'); do
        name=${file##*/}
        name=${name%.rpm}
        rpm -q --quiet "$name" || continue
        # a file's time, owner or mode may well be changed on purpose
        changes=$(rpm -V --nodeps --noscripts --nomtime --nouser --nogroup --nomode "$name") || true
        if printf '%s' "$changes" | grep -qvE '^.{9}  ?[cdg] |^missing +[cdg] '; then printf '%s\n' "$name"; fi
    done
}

# An update that was cut off may leave two versions; the newer one's files are there.
drop_doubles() {
    local name older
    rpm -qa --qf '%{NAME}.%{ARCH}\n' | sed -E '/^(kernel|gpg-pubkey)/d' | sort | uniq -d | while IFS= read -r name; do
        older=$(rpm -q --last "$name" | awk 'NR > 1 { print $1 }')
        # shellcheck disable=SC2086 # several names
        [ -z "$older" ] || rpm -e --justdb --nodeps --noscripts --notriggers $older
    done
}

# What a site or the step hold keeps from moving is moved here on purpose.
run_yum() {
    local plugin=''
    [ ! -e "$R/etc/yum/pluginconf.d/versionlock.conf" ] || plugin=--disableplugin=versionlock
    yum -y --disablerepo='*' --enablerepo='airseed-*' --disableexcludes=all ${plugin:+"$plugin"} \
        --setopt=skip_missing_names_on_install=False --setopt=exit_on_lock=True "$@"
}

# Tell whether nobody else installs packages. After a power cut the number may be that of some other program.
yum_is_free() {
    local pid=''
    read -r pid 2>/dev/null <"$R/var/run/yum.pid" || true
    [ -z "$pid" ] || ! grep -qsaE 'yum|packagekit' "$R/proc/$pid/cmdline"
}

# Go on with what was cut off, and repair what it left.
repair() {
    local damaged
    drop_doubles
    damaged=$(damaged_packages)
    [ -n "$damaged" ] || return 0
    say "damaged packages: $damaged"
    # shellcheck disable=SC2086 # several names
    run_yum reinstall $damaged
    damaged=$(damaged_packages)
    [ -z "$damaged" ] || fail "these packages are still damaged: $damaged" "the disk may be: see dmesg"
}

# Install the packages NAMES, from the bundle and nowhere else.
install_packages() {
    local missing limit
    missing=$(missing_packages "$@")
    if [ -z "$missing" ] && [ ! -e "$CUT" ]; then
        say "all packages are installed already"
        return
    fi
    # rpm closes every file number that it might have; yum crawls where there is no limit
    limit=$(ulimit -n)
    [ "$limit" != unlimited ] && [ "$limit" -le 65536 ] || ulimit -S -n 65536
    find_payload
    say "the bundle is $PAYLOAD_AT ($PAYLOAD_KIND)"
    { payload_list keys/ && payload_list yum/; } >"$LISTS/packages"
    take_payload <"$LISTS/packages"
    write_repositories
    # its locks look as those of a transaction that was cut
    wait_until "another program to end, which installs packages: /var/run/yum.pid has its number" "${AIRSEED_YUM_PATIENCE:-1800}" yum_is_free ||
        fail "another program has been installing packages for too long" "ps -f -p \$(cat /var/run/yum.pid) shows it: end it, or have it not start"
    if [ -e "$CUT" ]; then
        mend_cut_transaction
        run_yum install "$@"
        repair
    else
        printf '%s\n' "$@" >"$CUT"
        sync
        run_yum install "$@"
    fi
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || fail "yum reported success, but did not install: ${missing//$'\n'/ }" \
        "does the bundle have them? airseed inspect --why NAME"
    # rpm does not wait for the disk
    sync
    rm -f "$CUT"
}
