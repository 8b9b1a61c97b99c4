#!/bin/bash
# SPDX-License-Identifier: MIT
# What cannot be mounted gets one line that says what is wrong, and leaves nothing behind.
. "$EXO_TOP/tests/vm/lib.sh"
need_commands mkfs.exo mount.exo mkfs.ext4
cd "$TMPDIR"

refused() { # MESSAGE_REGEX ARGUMENT_OF_MOUNT...
    local message=$1
    shift
    expect_fail "$message" mount -t exo "$@"
    expect_equal "$(mount -t exo "$@" 2>&1 | wc -l)" 1 "lines printed by mount $*"
    expect_equal "$(findmnt -n $MNT)" "" "mount after a failure"
    expect_equal "$(pgrep -f mount.exo)" "" "daemon after a failure"
}

mkdir -p $MNT
step "no exo file system"
blkdiscard -f $DRIVE
refused "exo" $DRIVE $MNT
mkfs.ext4 -q -F $DRIVE
refused "exo" $DRIVE $MNT

step "in use by another file system"
mount $DRIVE /srv
refused "in use|busy|mounted" $DRIVE $MNT
umount /srv

step "damaged superblocks, an unknown feature"
mkfs.exo -f $DRIVE >/dev/null || { blkdiscard -f $DRIVE && mkfs.exo $DRIVE >/dev/null; }
dd if=/dev/urandom of=noise bs=4k count=1 status=none
cp --sparse=always $DRIVE image 2>/dev/null || dd if=$DRIVE of=image bs=1M count=64 status=none
blkdiscard -f $DRIVE
refused "exo" $DRIVE $MNT

step "unknown option, missing device, missing directory"
mkfs.exo $DRIVE >/dev/null
refused "colour=red" -o colour=red $DRIVE $MNT
expect_fail "." mount -t exo /dev/nothing $MNT
expect_fail "." mount -t exo $DRIVE /no/such/directory
