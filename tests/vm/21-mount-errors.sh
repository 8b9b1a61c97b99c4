#!/bin/bash
# SPDX-License-Identifier: MIT
# What cannot be mounted gets one line that says what is wrong, and leaves nothing behind.
. "$EXO_TOP/tests/vm/lib.sh"
need_commands mkfs.exo mount.exo mkfs.ext4
cd "$TMPDIR"

refused() { # MESSAGE_REGEX ARGUMENT_OF_MOUNT...
    local message=$1 output status=0
    shift
    output=$(mount -t exo "$@" 2>&1) || status=$?
    [ "$status" -ne 0 ] || die "mount $* succeeded"
    expect_equal "$(wc -l <<<"$output")" 1 "lines printed by mount $*"
    grep -qE "$message" <<<"$output" || die "mount $* does not say '$message', but: $output"
    ! mountpoint -q $MNT || die "something is mounted after a failure"
    ! pgrep -f mount.exo || die "a daemon is there after a failure"
}

mkdir -p $MNT
step "no exo file system"
blkdiscard -f $DRIVE 2>/dev/null
refused "not an exo file system" $DRIVE $MNT
mkfs.ext4 -q -F $DRIVE
refused "not an exo file system" $DRIVE $MNT

step "claimed by somebody else"
blkdiscard -f $DRIVE 2>/dev/null
mkfs.exo $DRIVE >/dev/null
python3 -c "import os, time; fd = os.open('$DRIVE', os.O_RDWR | os.O_EXCL); print('claimed', flush=True); time.sleep(1000)" >claim &
wait_until 10 grep -q claimed claim
refused "in use" $DRIVE $MNT
kill %1
wait || true

step "a superblock of noise: the message knows of the backups, until these are gone too"
dd if=/dev/urandom of=$DRIVE bs=4k count=1 conv=fsync status=none
refused "backup superblock" $DRIVE $MNT
blkdiscard -f $DRIVE 2>/dev/null
refused "not an exo file system" $DRIVE $MNT
mkfs.exo $DRIVE >/dev/null

step "unknown option, missing device, missing directory"
refused "colour=red" -o colour=red $DRIVE $MNT
expect_fail "/dev/nothing" mount -t exo /dev/nothing $MNT
expect_fail "/no/such/directory" mount -t exo $DRIVE /no/such/directory
