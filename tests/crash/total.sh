#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Adds up what the trials of crash_cuts_*, crash_together_* and crash_errors_* counted: total.sh PROGRAM FOLDER LEAST
# WORKLOAD... Fails when fewer power cuts than LEAST were tried, or a workload has no test.
set -euo pipefail
program=$1 folder=$2 least=$3
shift 3

untested=$(comm -3 <("$program" list | sort) <(printf '%s\n' "$@" | sort))
if [ -n "$untested" ]; then
    echo "CMakeLists.txt and workloads.cc differ in: ${untested//[[:space:]]/ }"
    exit 1
fi
sum() { # TITLE FILE...
    local title=$1
    shift
    sed -n "s/^$title: //p" "$@" | awk '{ n += $1 } END { print n + 0 }'
}
states=$(sum 'crash states' "$folder"/cuts-*.out "$folder"/together-*.out)
together=$(sum 'crash states' "$folder"/together-*.out)
points=$(sum 'injection points' "$folder"/errors-*.out)
echo "crash states tried: $states ($together with writers at once); I/O errors injected: $points" |
    tee "$folder/total.out"
[ "$states" -ge "$least" ] || {
    echo "at least $least crash states are wanted"
    exit 1
}
