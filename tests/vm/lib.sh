# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What tests in the guest share. A test is an executable tests/vm/NN-name.sh that begins
#
#   #!/bin/bash
#   # SPDX-License-Identifier: MIT
#   # What it proves, in a sentence.
#   # time-limit: 60          (seconds; 120 when left out)
#   . "$EXO_TOP/tests/vm/lib.sh"
#
# It runs as root with exo.ko freshly loaded; exit code 0 passes, 77 skips (last line: the reason),
# anything else fails. Programs of the build are tests too when tests/vm/programs has a line
# "NAME SECONDS PATH_IN_BUILD [ARG...]". It leaves nothing mounted and nothing in the module that
# keeps it from unloading: both are checked after it. $TMPDIR is the test's own, and empty. Given by
# the harness: EXO_TOP, EXO_BUILD, EXO_MODULE (empty: not to be loaded) and EXO_MODULE_ARGS, EXO_DRIVES,
# EXO_TIME_SCALE (how many times slower than usual the kernel is; wait_until and limits know of it).
set -euo pipefail

DRIVE=/dev/nvme0n1
# A smaller one, there unless the machine was started with --drives 1.
SECOND_DRIVE=/dev/nvme1n1
MNT=/mnt
export DRIVE SECOND_DRIVE MNT

trap 'echo "failed: line $LINENO of $0: $BASH_COMMAND" >&2' ERR
set -E

die() {
    echo "failed: $*" >&2
    exit 1
}

skip() {
    echo "$*"
    exit 77
}

step() {
    echo "-- $*"
}

need_module() {
    [ -d /sys/module/exo ] || skip "exo.ko is not loaded"
}

# need_commands NAME...: skips unless they are built or installed.
need_commands() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || skip "there is no command $name"
    done
}

# expect_fail MESSAGE_REGEX COMMAND...: the command must fail, not by a signal, and say so.
expect_fail() {
    local message=$1 output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    [ "$status" -ne 0 ] || die "succeeded, but should fail: $*"
    [ "$status" -lt 128 ] || die "ended by signal $((status - 128)): $*"
    grep -qE -- "$message" <<<"$output" || die "$* failed without saying '$message', but: $output"
}

# expect_equal GOT WANTED WHAT
expect_equal() {
    [ "$1" = "$2" ] || die "$3: got '$1', wanted '$2'"
}

# wait_until SECONDS COMMAND...: tries until the command succeeds.
wait_until() {
    local deadline=$((SECONDS + $1 * ${EXO_TIME_SCALE:-1}))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -le "$deadline" ] || die "waited in vain for: $*"
        sleep 0.05
    done
}

# as_nobody COMMAND...: without any privilege.
as_nobody() {
    setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --no-new-privs "$@"
}

# fresh_fs [DRIVE [FOLDER [MKFS_OPTION...]]]: an empty exo file system, mounted.
fresh_fs() {
    local drive=${1:-$DRIVE} folder=${2:-$MNT}
    shift $(($# < 2 ? $# : 2))
    need_commands mkfs.exo mount.exo
    blkdiscard -f "$drive"
    mkfs.exo "$@" "$drive" >/dev/null
    mkdir -p "$folder"
    mount -t exo "$drive" "$folder"
}

# For wait_until.
traversals_in_flight() {
    grep -q '"traversals_in_flight": [1-9]' <<<"$(exo --json stats)"
}

no_traversals_in_flight() {
    grep -q '"traversals_in_flight": 0' <<<"$(exo --json stats)"
}

no_grants() {
    [ "$(exo --json grants | tr -d ' \n')" = '[]' ]
}

# What a process that died left attached, with its pins: by design they outlast it.
release_volumes() {
    local id
    wait_until 10 no_traversals_in_flight
    exo --json volumes | sed -n 's/.*"id": \([0-9]*\).*/\1/p' >"$TMPDIR/volumes"
    while read -r id; do
        wait_until 5 exo release --grace-ms 0 "$id"
    done <"$TMPDIR/volumes"
    wait_until 5 no_grants
}

# A test that fails with the lookup program attached must not make the next one fail, too.
clean_up_lookups_at_exit() {
    trap '
        if mountpoint -q $MNT; then
            exo prog unload btree_lookup >/dev/null 2>&1 || true
            umount $MNT || true
        fi' EXIT
}

# The module must go now: proves that nothing in it is held any more. It is loaded again after.
unload_module_check() {
    need_module
    wait_until 5 rmmod exo
    [ ! -d /sys/module/exo ] || die "exo.ko is still there after rmmod"
    # shellcheck disable=SC2086  # several arguments are several words
    insmod "$EXO_MODULE" ${EXO_MODULE_ARGS:-}
}
