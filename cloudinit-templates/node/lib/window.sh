#!/bin/bash
# The time in which control planes may join by the uploaded certificates. Sourced.

need kubeadm scrub units

# Tell whether there is anything to keep open: a key, and somebody to wait for.
window_is_wanted() {
    [ "$AIRSEED_ROLE" = init ] && grep -qs '^certificateKey:' "$SEED" && ! everybody_joined
}

# Every declared control plane has the label that kubeadm sets last.
everybody_joined() {
    local name joined
    joined=$(as_admin get nodes -l node-role.kubernetes.io/master -o name 2>/dev/null && as_admin get nodes -l node-role.kubernetes.io/control-plane -o name 2>/dev/null) || return 1
    for name in $AIRSEED_CONTROL_PLANES; do
        printf '%s\n' "$joined" | grep -qxF "node/$name" || return 1
    done
}

window_is_over() {
    local began
    began=$(tr -dc 0-9 <"$STATE/window-began" 2>/dev/null) || began=''
    # from a clock that was ahead it would not end
    [ -n "$began" ] && [ "$began" -le "$(now)" ] || { now | put "$STATE/window-began" 0644 && return 1; }
    [ "$(age "$began")" -ge "${AIRSEED_WINDOW:-86400}" ]
}

# kubeadm's own upload goes away with a token after two hours.
upload_certificates() {
    run_phase init phase upload-certs --upload-certs --skip-certificate-key-print
}

certificates_are_uploaded() { as_admin -n kube-system get secret kubeadm-certs -o name >/dev/null 2>&1; }

open_window() {
    put_units airseed-window.service airseed-window.timer
    systemctl start airseed-window.timer
}

# The Secret, then the key, then the timer: whoever is cut off comes again.
close_window() {
    as_admin -n kube-system delete secret kubeadm-certs --ignore-not-found
    as_admin annotate namespace airseed airseed-window- || say "warning: admit.sh will find the window open"
    scrub
    stamp closed
    if [ -e "$R/etc/systemd/system/airseed-window.timer" ]; then
        systemctl disable airseed-window.timer
        rm -f "$R"/etc/systemd/system/airseed-window.*
        systemctl --no-block stop airseed-window.timer
        systemctl daemon-reload
    fi
}
