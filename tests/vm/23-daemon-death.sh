#!/bin/bash
# SPDX-License-Identifier: MIT
# A daemon killed with -9: the module keeps the drive and the pins, grants live on, and the next mount takes over:
# persistent pins undisturbed, leases revoked, synced data there.
# time-limit: 360
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands mkfs.exo mount.exo exo_pin_tool
cd "$TMPDIR"

kill_daemon() {
    local daemon
    daemon=$(pgrep -f "mount.exo $DRIVE ")
    kill -9 "$daemon"
    wait_until 5 test ! -e "/proc/$daemon"
}

fresh_fs $DRIVE
head -c 5M /dev/urandom >data
cp data $MNT/kept
cp data $MNT/leased
exo_pin_tool pin $MNT/kept
mkfifo hold hold2
exo_pin_tool grant $MNT/kept <hold >holder &
exec 6>hold
exo_pin_tool lease $MNT/leased <hold2 >leaser &
exec 7>hold2
wait_until 5 grep -q open holder
wait_until 5 grep -q leased leaser
before=$(exo_pin_tool info $MNT/kept)
sync -f $MNT/kept
dd if=data of=$MNT/synced bs=1M conv=fsync status=none

for how in "with umount" "without umount"; do
    step "kill -9 $how"
    for i in $(seq 200); do echo "$i" >"$MNT/unsynced-$i"; done
    kill_daemon
    expect_fail "not connected" stat $MNT/kept
    step "the module still holds the drive"
    expect_fail "busy" python3 -c "import os; os.open('$DRIVE', os.O_RDWR | os.O_EXCL)"
    # Lazily: the holder of the lease has its file open.
    [ "$how" = "without umount" ] || umount -l $MNT
    mount -t exo $DRIVE $MNT
    cmp data $MNT/kept
    cmp data $MNT/synced
    expect_equal "$(exo_pin_tool info $MNT/kept)" "$before" "the pinned file"
    expect_fail "not permitted" truncate -s 0 $MNT/kept
done

step "the grant lived through all of it, the lease did not"
expect_equal "$(cat holder)" open "what the holder of the grant saw"
echo free >$MNT/leased
exec 7>&-
expect_equal "$(exo_pin_tool unpin $MNT/kept 50)" 1 "revoked grants"
wait_until 5 grep -q revoked holder
exec 6>&-
wait
truncate -s 0 $MNT/kept
umount $MNT
fsck.exo $DRIVE
unload_module_check
