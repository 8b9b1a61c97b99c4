#!/bin/bash
# SPDX-License-Identifier: MIT
# Lookups at the drive's completion do not need the daemon: killed with -9 in their midst, they go on to the last;
# after the next mount the data is there, the pin holds, and lookups still equal the mounted file.
# time-limit: 480
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

# What is left must not make the next test fail, too.
lookups=
clean_up() {
    [ -z "$lookups" ] || kill "$lookups" 2>/dev/null || true
    exo prog unload btree_lookup >/dev/null 2>&1 || true
    umount -l $MNT 2>/dev/null || true
}
trap clean_up EXIT

fresh_fs "$DRIVE"
keys=$((20000 / EXO_TIME_SCALE))
seq -f 'key %.0f' $keys | sed 's/\(.*\)/\1\tvalue of \1/' >"$TMPDIR/tsv"
# As many lookups as with a larger index.
cut -f1 "$TMPDIR/tsv" >"$TMPDIR/keys"
for ((i = 0; i < EXO_TIME_SCALE; i++)); do
    cat "$TMPDIR/keys"
done >"$TMPDIR/wanted"
count=$((keys * EXO_TIME_SCALE))
exo index build -o $MNT/index "$TMPDIR/tsv"
cp "$TMPDIR/tsv" $MNT/data
sync -f $MNT/data
exo pin $MNT/index
exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"
traversals() {
    exo --json stats | sed -n 's/.*"traversals": \([0-9]*\).*/\1/p'
}

none=$(traversals)
lookups_run() {
    [ "$(traversals)" -gt "$none" ]
}

step "kill -9 of the daemon while lookups run"
# One by one: they must last until after the kill.
exo --json lookup --keys "$TMPDIR/wanted" --jobs 2 --batch 1 $MNT/index >"$TMPDIR/totals" 2>"$TMPDIR/errors" &
lookups=$!
wait_until 30 lookups_run
daemon=$(pgrep -f "mount.exo $DRIVE ")
kill -9 "$daemon"
wait_until 5 test ! -e "/proc/$daemon"
before=$(traversals)
expect_fail 'not connected' stat $MNT/index
kill -0 "$lookups" || die "the lookups were over before the daemon was killed"
status=0
wait "$lookups" || status=$?
lookups=
[ "$status" = 0 ] || die "lookups failed after the daemon's death: $(cat "$TMPDIR/errors")"
after=$(traversals)
echo "$((after - before)) lookups ran without a daemon"
[ "$after" -gt "$before" ] || die "no lookup ran after the daemon's death"
grep -q "\"found\": $count\b" "$TMPDIR/totals" || die "not all keys were found: $(cat "$TMPDIR/totals")"

step "after the next mount"
umount -l $MNT
mount -t exo "$DRIVE" $MNT
cmp "$TMPDIR/tsv" $MNT/data
expect_fail 'not permitted' truncate -s 0 $MNT/index
exo lookup --keys "$TMPDIR/keys" --absent --compare $MNT/index

step "leave"
exo unpin $MNT/index
exo prog unload btree_lookup
umount $MNT
fsck.exo "$DRIVE"
unload_module_check
