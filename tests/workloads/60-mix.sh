#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Several processes do random operations at once, each in a folder of its own and all in a shared
# one, and compare everything with a model in memory after each phase and after remounts.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"

mix=$(dirname "$exo")/../tests/exo_mix
[ -x "$mix" ] || fail "there is no $mix; build first"
phases=4 operations=6000
[ -z "$long" ] || phases=20 operations=20000
new_volume 512M
seed=${EXO_WORK_SEED:-$(date +%s)}
echo "EXO_WORK_SEED=$seed"
for ((phase = 1; phase <= phases; phase++)); do
    "$mix" "$mnt" "$work" "$((seed + phase))" "$operations" || fail "phase $phase"
    remount_volume
    "$mix" "$mnt" "$work" || fail "after the remount of phase $phase"
    step "phase $phase: $operations operations by each process, compared twice"
done
unmount_volume
