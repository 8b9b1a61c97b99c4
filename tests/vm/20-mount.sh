#!/bin/bash
# SPDX-License-Identifier: MIT
# mount(8) and umount(8) on an NVMe drive with the module loaded, as a person uses them.
# time-limit: 360
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands mkfs.exo mount.exo
cd "$TMPDIR"

daemon_of() { pgrep -f "mount.exo $1 " || true; }

step "a mount is silent and shows as fuse.exo"
fresh_fs $DRIVE
umount $MNT
expect_equal "$(mount -t exo $DRIVE $MNT 2>&1)" "" "output of mount"
expect_equal "$(findmnt -n -o FSTYPE,SOURCE $MNT | tr -s ' ')" "fuse.exo $DRIVE" "the mount"
expect_equal "$(stat -c %i $MNT)" 1 "inode number of the root"
head -c 20M /dev/urandom >data
cp data $MNT/data
as_nobody cmp data $MNT/data

step "the drive is claimed meanwhile"
expect_fail "busy|in use|mounted" mkfs.exo -f $DRIVE
expect_fail "already mounted" mount -t exo $DRIVE /srv
expect_fail "busy" python3 -c "import os; os.open('$DRIVE', os.O_RDWR | os.O_EXCL)"

step "a busy mount stays, and goes on"
exec 5<$MNT/data
expect_fail "in use" umount $MNT
exec 5<&-
cmp data $MNT/data

step "when umount returns, the daemon is gone and the drive is free"
for _ in 1 2 3 4 5; do
    echo again >>$MNT/log
    umount $MNT
    expect_equal "$(daemon_of $DRIVE)" "" "daemon after umount"
    python3 -c "import os; os.open('$DRIVE', os.O_RDWR | os.O_EXCL)"
    mount -t exo $DRIVE $MNT
done
expect_equal "$(wc -l <$MNT/log)" 5 "lines written over five mounts"
cmp data $MNT/data

step "options of fstab, read-only, umount by device"
umount $DRIVE
mount -t exo -o ro,noatime,nosuid,nofail,_netdev,x-test=1 $DRIVE $MNT
expect_fail "Read-only" touch $MNT/x
cmp data $MNT/data
umount $MNT

step "SIGTERM ends a mount cleanly"
mount -t exo $DRIVE $MNT
echo kept >$MNT/kept
kill "$(daemon_of $DRIVE)"
wait_until 10 test -z "$(daemon_of $DRIVE)" -a ! -e $MNT/kept
mount -t exo $DRIVE $MNT
expect_equal "$(cat $MNT/kept)" kept "what was written before SIGTERM"
umount $MNT
unload_module_check
