#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs one trial of one workload, or of one company, and keeps what it printed, for total.sh: run.sh
# PROGRAM FOLDER TRIAL NAME STATES. EXO_CRASH_STATES in the environment comes before STATES, for longer runs.
set -euo pipefail
output=$2/$3-$4.out
rm -f "$output"
EXO_CRASH_STATES=${EXO_CRASH_STATES:-$5} "$1" "$3" "$4" | tee "$output.part"
mv "$output.part" "$output"
