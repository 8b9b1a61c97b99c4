#!/bin/bash
# SPDX-License-Identifier: MIT
# Lookups in a cgroup with the io controller: each read is in its io.stat, and its io.max holds. Nobody
# there can ask for an engine that goes around it.
# time-limit: 240
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

cgroups=/sys/fs/cgroup
mountpoint -q $cgroups || mount -t cgroup2 cgroup2 $cgroups
grep -qw io $cgroups/cgroup.controllers || skip "the kernel has no io controller"
clean_up_lookups_at_exit

fresh_fs "$DRIVE"
keys=$((20000 / EXO_TIME_SCALE))
seq -f 'key %.0f' $keys | sed 's/\(.*\)/\1\tvalue of \1/' >"$TMPDIR/tsv"
cut -f1 "$TMPDIR/tsv" | sed -n 1,500p >"$TMPDIR/keys"
exo index build -o $MNT/index "$TMPDIR/tsv"
exo pin $MNT/index
exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"
expect_equal "$(exo volumes | awk 'NR == 1 { at = index($0, "ENGINES") }
                                   NR == 2 { print substr($0, at, 30) }')" \
    "polled, completion, dispatch  " "engines of an NVMe drive with poll queues"

# value NAME FILE: of a JSON object
value() {
    sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$2"
}

# by_driver FILE: reads that were reissued past the block layer, in the completion or after it
by_driver() {
    echo $(($(value direct "$1") + $(value deferred "$1")))
}

inside() {
    bash -c 'echo $$ >'"$group/cgroup.procs"' && exec "$@"' inside "$@"
}

# read_bytes: of the group, on the drive
read_bytes() {
    sed -n "s/^$device .*rbytes=\([0-9]*\).*/\1/p" "$group/io.stat" | sed -n 1p
}

group=$cgroups/exo-lookups
mkdir -p $group
device=$(cat "/sys/class/block/$(basename "$DRIVE")/dev")

step "without the controller: reissued at the completion"
inside exo --json lookup --keys "$TMPDIR/keys" --batch 1 $MNT/index >"$TMPDIR/totals"
expect_equal "$(value dispatched "$TMPDIR/totals")" 0 "reads dispatched as bios"
[ "$(by_driver "$TMPDIR/totals")" -gt 0 ] || die "nothing was reissued: $(cat "$TMPDIR/totals")"

step "with it: as bios, and all of them in io.stat"
echo +io >$cgroups/cgroup.subtree_control
before=$(read_bytes)
inside exo --json lookup --keys "$TMPDIR/keys" $MNT/index >"$TMPDIR/totals"
after=$(read_bytes)
hops=$(value hops "$TMPDIR/totals")
expect_equal "$(value found "$TMPDIR/totals")" 500 "keys found"
expect_equal "$(by_driver "$TMPDIR/totals")" 0 "reads that went around the controller"
expect_equal "$(value dispatched "$TMPDIR/totals")" $((hops - 500)) "reads dispatched as bios"
[ $((${after:-0} - ${before:-0})) -ge $((hops * 4096)) ] ||
    die "$hops hops, but io.stat went from ${before:-nothing} to ${after:-nothing}"
expect_fail 'another engine|cannot serve' inside exo lookup --engine completion $MNT/index 'key 1'
expect_fail 'another engine|cannot serve' inside exo lookup --engine polled $MNT/index 'key 1'

step "io.max holds"
echo "$device riops=100" >$group/io.max
# 150 reads take more than a second, whatever the drive and the machine are.
sed -n 1,75p "$TMPDIR/keys" >"$TMPDIR/some"
begin=$(date +%s%N)
inside exo --json lookup --keys "$TMPDIR/some" $MNT/index >"$TMPDIR/totals"
took=$(($(date +%s%N) - begin))
expect_equal "$(value found "$TMPDIR/totals")" 75 "keys found"
[ "$took" -ge 1000000000 ] || die "$(value hops "$TMPDIR/totals") reads at 100 a second took $took ns"

step "an administrator may leave it out"
echo 0 >/sys/module/exo/parameters/cgroup_io
inside exo --json lookup --keys "$TMPDIR/keys" --batch 1 $MNT/index >"$TMPDIR/totals"
[ "$(by_driver "$TMPDIR/totals")" -gt 0 ] || die "nothing was reissued: $(cat "$TMPDIR/totals")"
echo 1 >/sys/module/exo/parameters/cgroup_io

step "every way in, by itself: counted, limited, and for a process that is moved there later"
EXO_TEST_CGROUPS=$cgroups EXO_TEST_DEVICE=$SECOND_DRIVE "$EXO_BUILD/tests/uapi/exo_uapi_test" \
    -tc="a cgroup is told*" | tee "$TMPDIR/uapi"
grep -q ' 1 passed' "$TMPDIR/uapi" || die "the test did not run"

echo -io >$cgroups/cgroup.subtree_control
wait_until 10 rmdir $group
exo unpin $MNT/index
exo prog unload btree_lookup
umount $MNT
unload_module_check
