#!/bin/bash
# SPDX-License-Identifier: MIT
# Lookups at the drive's completion equal reading the mounted file: all keys of a real index, absent
# ones, one by one, in batches and through io_uring, polled, and in a file of many extents; most hops
# are issued by the completion itself.
# time-limit: 600
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

clean_up_lookups_at_exit

fresh_fs "$DRIVE"
step "build an index of the package lists"
for list in /var/lib/apt/lists/*_Packages*; do
    /usr/lib/apt/apt-helper cat-file "$list"
done >"$TMPDIR/packages"
exo index build --format debian-packages --duplicates first -o $MNT/index "$TMPDIR/packages"
depth=$(exo --json index info $MNT/index | sed -n 's/.*"depth": \([0-9]*\).*/\1/p')
[ "$depth" -ge 3 ] || die "the index has depth $depth, and should have 3 or more"
exo index verify $MNT/index
exo index dump --keys $MNT/index >"$TMPDIR/keys"

# fewer_keys COUNT: of those that are looked up, anywhere in the index; a slow kernel gets fewer still.
fewer_keys() {
    shuf -n "$1" --random-source="$TMPDIR/packages" "$TMPDIR/keys" >"$TMPDIR/some"
    mv "$TMPDIR/some" "$TMPDIR/keys"
}
if [ "$EXO_TIME_SCALE" -gt 1 ]; then
    fewer_keys 1000
fi

step "nothing works before its time, and says why"
expect_fail 'no program btree_lookup is attached|not pinned' exo lookup $MNT/index bash
exo pin $MNT/index
expect_fail 'no program btree_lookup is attached: exo prog load' exo lookup $MNT/index bash
exo prog check "$EXO_BUILD/bpf/btree_lookup.bpf.o"
exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"
expect_fail 'attached already|exists' exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"

value() { # JSON_FILE MEMBER
    sed -n "s/.*\"$2\": \([0-9.]*\).*/\1/p" "$1"
}

# all_equal INDEX LOOKUP_OPTION...: compares all keys and as many absent ones.
all_equal() {
    local index=$1
    shift
    exo --json lookup --keys "$TMPDIR/keys" --absent --compare "$@" "$index" >"$TMPDIR/totals" ||
        die "lookups differ: $(cat "$TMPDIR/totals")"
    expect_equal "$(value "$TMPDIR/totals" mismatches)" 0 "mismatches"
    expect_equal "$(value "$TMPDIR/totals" found)" "$(wc -l <"$TMPDIR/keys")" "keys found"
    expect_equal "$(value "$TMPDIR/totals" absent)" "$(wc -l <"$TMPDIR/keys")" "keys absent"
    tr -d '\n{}"' <"$TMPDIR/totals"
    echo
}

step "one key"
expect_equal "$(exo lookup $MNT/index bash)" "$(exo lookup --user $MNT/index bash)" "bash"
expect_fail 'has no key "no-such-package"' exo lookup $MNT/index no-such-package

# A kernel full of checkers is seldom where a read may be reissued, and with lockdep it never is.
most_are_direct() {
    local direct reissued
    [ "$EXO_TIME_SCALE" = 1 ] || return 0
    direct=$(value "$TMPDIR/totals" direct)
    reissued=$(value "$TMPDIR/totals" reissued)
    [ $((direct * 2)) -gt "$reissued" ] ||
        die "only $direct of $reissued hops were issued at the completion"
}

step "all keys and as many absent ones, in batches"
all_equal $MNT/index --jobs 2
[ "$EXO_TIME_SCALE" != 1 ] || [ "$(value "$TMPDIR/totals" direct)" -gt 0 ] ||
    die "no hop was issued at the completion"
calls=$(value "$TMPDIR/totals" calls)
each=$((($(wc -l <"$TMPDIR/keys") + 255) / 256))
expect_equal "$calls" $((2 * each)) "calls for batches of 256"

step "and through io_uring"
"$EXO_BUILD/tests/exo_uring_lookup" $MNT/index "$TMPDIR/keys" plain

step "one by one"
fewer_keys $((3000 / EXO_TIME_SCALE))
all_equal $MNT/index --jobs 2 --batch 1
most_are_direct
expect_equal "$(value "$TMPDIR/totals" calls)" $((2 * $(wc -l <"$TMPDIR/keys"))) "calls for single keys"

step "batches that wait for their turn"
"$EXO_BUILD/tests/exo_narrow_batches" $MNT/index "$TMPDIR/keys"

step "how fast"
for batch in 1 256; do
    exo --json lookup --keys "$TMPDIR/keys" --batch $batch $MNT/index >"$TMPDIR/totals"
    echo "batches of $batch: $(value "$TMPDIR/totals" lookups_per_second) lookups/s"
done
"$EXO_BUILD/tests/exo_uring_lookup" $MNT/index "$TMPDIR/keys" plain large deferred

step "polled"
fewer_keys $((1500 / EXO_TIME_SCALE))
"$EXO_BUILD/tests/exo_uring_lookup" $MNT/index "$TMPDIR/keys" polled
all_equal $MNT/index --engine polled --batch 1
expect_equal "$(value "$TMPDIR/totals" direct)" 0 "hops issued by an interrupt in polled mode"
all_equal $MNT/index --engine polled
expect_equal "$(value "$TMPDIR/totals" direct)" 0 "hops issued by an interrupt in polled mode"
[ "$(value "$TMPDIR/totals" polled)" -gt 0 ] || die "no hop was polled"

step "the same in a file of many extents"
"$EXO_BUILD/tests/exo_fragment" $MNT/index $MNT/fragmented
extents=$(exo --json map $MNT/fragmented | sed -n 's/.*"extent_count": \([0-9]*\).*/\1/p')
echo "$extents extents"
[ "$extents" -ge 1000 ] || die "only $extents extents"
exo pin $MNT/fragmented
all_equal $MNT/fragmented

step "large values and long keys"
long=$(printf 'k%.0s' $(seq 1000))
big=$(printf 'v%.0s' $(seq 30000))
printf '%s\tlong key\nbig\t%s\nsmall\tx\nempty\t\n' "$long" "$big" >"$TMPDIR/odd"
exo index build -o $MNT/odd "$TMPDIR/odd"
exo pin $MNT/odd
printf '%s\nbig\nsmall\nempty\n' "$long" >"$TMPDIR/keys"
all_equal $MNT/odd
all_equal $MNT/odd --batch 1
"$EXO_BUILD/tests/exo_uring_lookup" $MNT/odd "$TMPDIR/keys" plain large
expect_equal "$(exo lookup $MNT/odd big)" "$big" "the value of 30000 bytes"

step "leave"
exo unpin $MNT/index $MNT/fragmented $MNT/odd
expect_fail 'not pinned' exo lookup $MNT/index bash
exo prog unload btree_lookup
umount $MNT
