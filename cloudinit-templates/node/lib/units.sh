#!/bin/bash
# systemd's units of ours. Sourced.

# Put units in place, and have the last of them started at every boot.
put_units() {
    local unit
    for unit; do put "$R/etc/systemd/system/$unit" 0644 <"$LIBEXEC/units/$unit"; done
    systemctl daemon-reload
    systemctl enable "$unit"
}
