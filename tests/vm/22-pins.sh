#!/bin/bash
# SPDX-License-Identifier: MIT
# A pinned file cannot change until it is unpinned, with the real module: write, truncate, punch and all else that
# touches data fails with EPERM, while names and attributes stay free to change.
# time-limit: 360
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands mkfs.exo mount.exo exo_pin_tool
cd "$TMPDIR"

fresh_fs $DRIVE
head -c 3M /dev/urandom >data
cp data $MNT/f
chmod 644 $MNT/f

step "a pin is refused while somebody writes, and to who may not write"
exec 5>>$MNT/f
expect_fail ETXTBSY exo_pin_tool pin $MNT/f
exec 5>&-
expect_fail EACCES as_nobody "$(command -v exo_pin_tool)" pin $MNT/f
expect_fail EISDIR exo_pin_tool pin $MNT

step "pinned: nothing changes data or size"
exo_pin_tool pin $MNT/f
[[ $(lsattr $MNT/f) == *i*" $MNT/f" ]] || die "lsattr does not show i"
expect_fail "not permitted" bash -c "echo x >>$MNT/f"
expect_fail "not permitted" bash -c "echo x >$MNT/f"
expect_fail "not permitted" truncate -s 1M $MNT/f
expect_fail "not permitted" fallocate -p -o 0 -l 4096 $MNT/f
expect_fail "not permitted" fallocate -l 8M $MNT/f
expect_fail "not permitted" dd if=/dev/zero of=$MNT/f bs=4k count=1 conv=notrunc oflag=direct status=none
expect_fail "not permitted" cp data $MNT/f
cmp data $MNT/f

step "pinned: names and attributes go on"
mv $MNT/f $MNT/g
ln $MNT/g $MNT/f
rm $MNT/g
chmod 640 $MNT/f
touch $MNT/f
cmp data $MNT/f

step "a grant opens on it, is told of the unpin, and the file can be changed"
mkfifo hold
exo_pin_tool grant $MNT/f <hold >holder &
exec 6>hold
wait_until 5 grep -q open holder
expect_equal "$(exo_pin_tool unpin $MNT/f 100)" 1 "revoked grants"
wait_until 5 grep -q revoked holder
echo more >>$MNT/f
expect_equal "$(stat -c %s $MNT/f)" $((3 * 1024 * 1024 + 5)) "size after the unpin"
expect_fail ENODATA exo_pin_tool grant $MNT/f
expect_fail ENODATA exo_pin_tool unpin $MNT/f
exec 6>&-
wait

step "a lease ends with its process"
exo_pin_tool lease $MNT/f <hold >leaser &
exec 6>hold
wait_until 5 grep -q leased leaser
expect_fail "not permitted" truncate -s 0 $MNT/f
exec 6>&-
wait
wait_until 5 truncate -s 0 $MNT/f

step "an inode number that is used again: not while the file is open, and then for another generation"
# handle save FILE PATH | handle open FILE: as an NFS server, or whoever else keeps a file without having it open
handle() {
    python3 - "$@" <<'EOF'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
what, file = sys.argv[1:3]
handle, mount_id = ctypes.create_string_buffer(136), ctypes.c_int()
if what == "save":
    ctypes.c_uint.from_buffer(handle).value = 128
    failed = libc.name_to_handle_at(-100, sys.argv[3].encode(), handle, ctypes.byref(mount_id), 0)
    open(file, "wb").write(handle.raw)
else:
    handle.raw = open(file, "rb").read()
    mount = os.open(os.environ["MNT"], os.O_RDONLY)
    failed = libc.open_by_handle_at(mount, handle, os.O_RDONLY) < 0
if failed:
    sys.exit(os.strerror(ctypes.get_errno()))
EOF
}
cp data $MNT/old
read -r ino generation _ < <(exo_pin_tool info $MNT/old)
handle save stale $MNT/old
handle open stale
exec 7<$MNT/old
rm $MNT/old
for i in {1..20}; do
    : >"$MNT/meanwhile$i"
    [ "$(stat -c %i "$MNT/meanwhile$i")" != "$ino" ] || die "inode $ino is used again while it is open"
done
expect_fail ENODATA exo_pin_tool grant /proc/self/fd/7
exec 7<&-
used_again() {
    rm -f $MNT/new
    cp data $MNT/new
    [ "$(stat -c %i $MNT/new)" = "$ino" ]
}
wait_until 20 used_again
read -r again another _ < <(exo_pin_tool info $MNT/new)
expect_equal "$again" "$ino" "inode number"
[ "$another" != "$generation" ] || die "inode $ino came back with generation $generation"
exo_pin_tool pin $MNT/new
expect_fail "Stale file handle" handle open stale
handle save fresh $MNT/new
handle open fresh
exo_pin_tool grant $MNT/new <hold >holder3 &
exec 6>hold
wait_until 5 grep -q open holder3
exec 6>&-
wait
exo_pin_tool unpin $MNT/new 0

step "persistent pins survive umount and mount"
cp data $MNT/p
exo_pin_tool pin $MNT/p
umount $MNT
mount -t exo $DRIVE $MNT
expect_fail "not permitted" truncate -s 0 $MNT/p
mkfifo hold2
exo_pin_tool grant $MNT/p <hold2 >holder2 &
exec 6>hold2
wait_until 5 grep -q open holder2
exec 6>&-
wait
cmp data $MNT/p
umount $MNT
unload_module_check
