# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What every workload needs: a volume of its own in an image file, mounted by a daemon that can be
# killed; plain words for pass, fail and skip; and nothing left behind. Sourced, never run.
#
# EXO_BIN         the exo command
# EXO_WORK_LONG   set: longer runs
# $mnt is the mount, $work a folder beside it, $daemon the process that serves it.
set -euo pipefail
# shellcheck source=tools/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"

exo=${EXO_BIN:-$EXO_TOP/build/bin/exo}
export long=${EXO_WORK_LONG:-} # for the workloads
work='' mnt='' image='' daemon=''

skip() {
    echo "skip ${0##*/}: $*"
    exit 77
}

fail() {
    echo "FAILED ${0##*/}: $*"
    exit 1
}

# step WORDS...: says what comes, with the time so far.
began=$(now_ms)
step() {
    printf '%9s  %s\n' "$(seconds $(($(now_ms) - began)))" "$*"
}

# need COMMAND PACKAGE: or the workload is skipped.
need() {
    have "$1" || skip "$1 is not installed (package $2)"
}

# A workload that starts servers sets this to what ends them.
stop_servers=true

clean_up() {
    local status=$?
    trap - EXIT
    cd /
    "$stop_servers" || true
    if [ -n "$mnt" ]; then
        umount -l "$mnt" 2>/dev/null || true
    fi
    if [ -n "$daemon" ]; then
        kill -9 "$daemon" 2>/dev/null || true
    fi
    if [ "$status" != 0 ] && [ "$status" != 77 ] && [ -n "${EXO_WORK_KEEP:-}" ]; then
        echo "kept: $work"
    else
        rm -rf "$work"
    fi
    exit "$status"
}

# new_volume SIZE
new_volume() {
    [ "$(id -u)" = 0 ] || skip "mounting needs root"
    if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then skip "/dev/fuse cannot be opened"; fi
    [ -x "$exo" ] || fail "there is no $exo; build first, or set EXO_BIN"
    work=$(mktemp -d /var/tmp/exo-work-XXXXXX)
    chmod 755 "$work"
    trap clean_up EXIT
    image=$work/image mnt=$work/mnt
    mkdir "$mnt"
    truncate -s "$1" "$image"
    "$exo" mkfs -q "$image"
    mount_volume
}

# In the foreground of a job, so that its process is known.
mount_volume() {
    local i
    "$exo" mount "$image" "$mnt" -F </dev/null >>"$work/daemon.log" 2>&1 &
    daemon=$!
    for ((i = 0; i < 500; i++)); do
        ! mountpoint -q "$mnt" 2>/dev/null || return 0
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.02
    done
    cat "$work/daemon.log"
    fail "the volume cannot be mounted"
}

# What a user does at the end; everything must be well then.
unmount_volume() {
    local status=0
    umount "$mnt" || fail "umount"
    wait "$daemon" || status=$?
    daemon=''
    [ "$status" = 0 ] || fail "the daemon ended with exit code $status: $(tail -n 3 "$work/daemon.log")"
    check_volume
}

check_volume() {
    "$exo" fsck -n "$image" >"$work/fsck.log" 2>&1 || {
        head -n 20 "$work/fsck.log"
        fail "fsck.exo found problems"
    }
}

remount_volume() {
    unmount_volume
    mount_volume
}

# The daemon dies as in a power cut: only what reached the device remains.
kill_daemon() {
    kill -9 "$daemon"
    wait "$daemon" 2>/dev/null || true
    daemon=''
    umount -l "$mnt"
    check_volume
}

# Ends processes that this script started, and waits for them.
end_jobs() { # PID...
    kill "$@" 2>/dev/null || true
    wait "$@" 2>/dev/null || true
}
