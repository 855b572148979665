#!/bin/bash
# systemd's units of ours. Sourced.

# Put units in place, and have the last of them started at every boot.
put_units() {
    local unit
    for unit; do put "$R/etc/systemd/system/$unit" 0644 <"$LIBEXEC/units/$unit"; done
    systemctl daemon-reload
    systemctl enable "$unit"
}

# Have kubelet of a control plane start only while that is one.
start_members_alone() {
    put_noting member "$R/etc/systemd/system/kubelet.service.d/airseed-member.conf" 0644 <"$LIBEXEC/units/member.conf"
    ! is_changed member || systemctl daemon-reload
    settled member
}
