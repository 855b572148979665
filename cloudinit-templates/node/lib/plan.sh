#!/bin/bash
# Plans: files that name steps in their order. Sourced.
# shellcheck disable=SC2034 # BEGAN, LOGS and CHANGE_VALUES are for others, WAITS for result.sh, SEED for all
#
# A line "# NAME: TEXT" of a plan or a step tells what the runner has to know of it. Of a plan:
#   values  which file of /etc/airseed has its values; "change" for those of a stage of a change
#   turn    in a change: which machines go one after another, by lib/turns.sh: each, control-planes or none
#   ready   in a change: what all machines have before the first one takes its turn
#   tries   how often a step is tried; without it, until it works
#   once    when it is done it is done for ever, whatever the values say by then
#   instead in a change: why it takes the place of another one that the cluster says is under way
#   done    what is said at its end; NODE stands for this node's name
# Of a step, where a name is that of a value without AIRSEED_, or of a file in /etc/airseed:
#   reads   what the result depends on: the step's stamp counts as long as these are the same
#   uses    what it needs besides, such as where a bundle may be found
#   always  why it runs at every start of its plan, whatever its stamp says
# Of any script:
#   seed    that no seed has it, because only changes need it; or by what the endpoint is kept up where seeds do

AIRSEED_NOW_PLAN=${AIRSEED_NOW_PLAN:-first-boot}
# what the values of a stage have, beside STAGE, and those of a node have not
CHANGE_VALUES='CHANGE STAGES LAST PLANES COUNT COUNT_BEFORE AT_ONCE FROM KUBEADM_PACKAGES KUBELET_PACKAGES RUNTIME_BEFORE LEAVE PARTS RENEW ENDPOINT_NEXT'
CHANGE_VALUES="$CHANGE_VALUES LEAVER LEAVER_ADDRESSES HELPER HELPER_ADDRESS SUCCESSOR SNAPSHOT SNAPSHOT_SUM SNAPSHOT_KEYS_SUM PULLS ADDONS NODES"

# Print what FILE says of NAME.
setting() { sed -n "s/^# $2: *//p" "$1"; }

plan_file() { printf '%s' "$LIBEXEC/plans/$AIRSEED_NOW_PLAN"; }

plan_setting() { setting "$(plan_file)" "$1"; }

[ -f "$(plan_file)" ] || { say "airseed: there is no plan $AIRSEED_NOW_PLAN" >&2 && exit 2; }
# what is under way on this machine, as NODE.sh laid it down
CHANGE=$ETC/change
WORK=$STATE
VALUES=$ETC/$(plan_setting values)

# Print the change's name (1) or digest (2), "" where there is none.
change_id() { awk -v part="$1" 'NR == 1 { printf "%s", $part }' "$CHANGE/id" 2>/dev/null || true; }

# What a stage does is stamped and told in a folder of its own: a second one does the same steps again.
if [ "$(plan_setting values)" = change ]; then
    [ -n "${AIRSEED_STAGE:-}" ] || { say "airseed: the plan $AIRSEED_NOW_PLAN is a stage of a change: see actions/change" >&2 && exit 2; }
    VALUES=$CHANGE/$AIRSEED_STAGE.env
    SEED=$CHANGE/$AIRSEED_STAGE.yaml
    WORK=$STATE/changes/$(change_id 1)/$AIRSEED_STAGE
fi
LOGS=$WORK/log
BEGAN=$WORK/$AIRSEED_NOW_PLAN.began
WAITS=$WORK/$AIRSEED_NOW_PLAN.waits

# Tell whether the values are those of one machine, not of an image.
is_of_a_node() { [ "$VALUES" != "$ETC/image.env" ]; }

# Print the names of the plan's steps in order.
plan_steps() { grep -v '^#' "$(plan_file)"; }

# Print the value NAME, "" where there is none.
value() {
    local name=AIRSEED_$1
    printf '%s' "${!name:-}"
}

# Print the same as it is in the image that this machine was made from.
image_value() (
    printf -v "AIRSEED_$1" '%s' ''
    # shellcheck source=/dev/null
    [ ! -s "$ETC/image.env" ] || . "$ETC/image.env"
    value "$1"
)

# Read the values as they are written. An image may have the container images of more than this node's
# role; when it is of the seed's bundle, they are what this node has.
read_values() {
    local role
    # shellcheck source=/dev/null
    . "$VALUES"
    [ "$VALUES" = "$ETC/node.env" ] && [ -s "$ETC/image.env" ] && [ "$(image_value SUMS)" = "$(value SUMS)" ] || return 0
    role=$(image_value IMAGES)
    [ -z "$role" ] || printf -v "AIRSEED_${role:+IMAGES}" '%s' "$role"
}

# Give the digest of what STEP reads. The script is not part of it: what an earlier airseed has done
# in an image counts.
step_key() {
    local reads name value digest
    reads=$(setting "$LIBEXEC/steps/$1.sh" reads)
    digest=$(
        read_values
        for name in $reads; do
            case $name in
            *[a-z]*) value=$(cat "$ETC/$name" 2>/dev/null) || value='' ;;
            *)
                value=AIRSEED_$name
                value=${!value:-}
                ;;
            esac
            printf '%s=%q\n' "$name" "$value"
        done | sha256sum
    )
    printf '%s' "${digest%% *}"
}

# Give the plan's finished steps as members of a JSON list.
finished_steps() {
    local step line comma=''
    plan_steps | while IFS= read -r step; do
        line=''
        IFS= read -r line 2>/dev/null <"$STAMPS/step-$step" || [ -n "$line" ] || continue
        if [[ $line =~ ^airseed\ 1\ step-([a-z]+)\ [0-9a-f-]+\ ([0-9]+)\ ([0-9]+)\ \.$ ]]; then
            printf '%s{"name": "%s", "seconds": %d, "finished": %d}' "$comma" \
                "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
            comma=', '
        fi
    done
}
