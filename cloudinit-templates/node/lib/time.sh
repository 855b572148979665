#!/bin/bash
# The clock: whom chrony asks, and a bounded wait for the first answer. Sourced.

write_chrony() {
    local server
    [ -n "$AIRSEED_NTP" ] || return 0
    {
        for server in $AIRSEED_NTP; do printf 'server %s iburst\n' "$server"; done
        printf 'driftfile /var/lib/chrony/drift\nmakestep 1.0 3\nrtcsync\nlogdir /var/log/chrony\n'
    } | put_noting clock "$R/etc/chrony.conf" 0644
    if is_changed clock && has chronyd; then
        systemctl restart chronyd.service
        settled clock
    fi
}

# Have the servers of cluster.yaml asked from now on.
ask_chrony() {
    [ -n "$AIRSEED_NTP" ] && has chronyd || return 0
    write_chrony
    systemctl start chronyd.service
}

# etcd and certificates want clocks that agree; a site without a time server must work, too.
wait_for_time() {
    [ -n "$AIRSEED_NTP" ] && has chronyc || return 0
    systemctl enable chronyd.service
    systemctl start chronyd.service
    wait_until "the clock to follow $AIRSEED_NTP" "${AIRSEED_CLOCK_PATIENCE:-120}" clock_follows ||
        say "warning: the clock does not follow $AIRSEED_NTP yet; going on, but clocks that differ break etcd and certificates"
}

clock_follows() { chronyc tracking 2>/dev/null | grep -q '^Leap status *: *Normal'; }
