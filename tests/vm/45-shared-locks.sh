#!/bin/bash
# SPDX-License-Identifier: MIT
# Lookups on all CPUs take the lock that tenants share no more than once in a jiffy while one tenant is
# alone, and for each read only while two are active or a rate is to be kept.
# time-limit: 240
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

tracing=/sys/kernel/tracing
[ -e $tracing/events ] || mount -t tracefs tracefs $tracing || skip "the kernel has no tracefs"
[ -e $tracing/kprobe_events ] || skip "the kernel cannot probe functions"

# What is left must not make the next test fail, too.
neighbour=
clean_up() {
    [ -z "$neighbour" ] || kill "$neighbour" 2>/dev/null || true
    echo 0 2>/dev/null >$tracing/events/kprobes/exo_turns/enable || true
    echo 2>/dev/null >$tracing/kprobe_events || true
    if mountpoint -q $MNT; then
        exo prog unload btree_lookup >/dev/null 2>&1 || true
        umount $MNT || true
    fi
}
trap clean_up EXIT

fresh_fs "$DRIVE"
keys=$((20000 / EXO_TIME_SCALE))
seq -f 'key %.0f' $keys | sed 's/\(.*\)/\1\tvalue of \1/' >"$TMPDIR/tsv"
cut -f1 "$TMPDIR/tsv" >$MNT/keys  # for everybody to read
exo index build -o $MNT/index "$TMPDIR/tsv"
exo pin $MNT/index
exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"

echo 'p:exo_turns exo:exo_fair_ask_slow' >$tracing/kprobe_events
echo 1 >$tracing/events/kprobes/exo_turns/enable

# turns: taken so far with the volume's lock
turns() {
    awk '$1 == "exo_turns" { print $2 }' $tracing/kprobe_profile
}

# jiffies: since the kernel began to count
jiffies() {
    awk '$1 == "jiffies:" { print $2; exit }' /proc/timer_list
}

# look_up_and_count NAME [WRAPPER]: sets hops, taken, and the jiffies it all took
look_up_and_count() {
    local name=$1 before begun
    shift
    begun=$(jiffies)
    before=$(turns)
    "$@" exo --json lookup --engine completion --keys $MNT/keys --jobs "$(nproc)" $MNT/index \
        >"$TMPDIR/totals"
    taken=$(($(turns) - before))
    passed=$(($(jiffies) - begun))
    hops=$(sed -n 's/.*"hops": \([0-9]*\).*/\1/p' "$TMPDIR/totals")
    echo "$name: $hops reads in $passed jiffies, $taken turns by the lock"
}

step "a tenant that is alone"
look_up_and_count "alone"
# Every CPU may be the first in a jiffy.
[ "$taken" -le $((passed * $(nproc))) ] || die "it took the lock for $taken reads in $passed jiffies"

step "two that are active"
while :; do
    as_nobody exo lookup --engine completion --keys $MNT/keys $MNT/index >/dev/null || break
done &
neighbour=$!
wait_until 10 traversals_in_flight
look_up_and_count "with a neighbour"
kill $neighbour
wait $neighbour 2>/dev/null || true
neighbour=
wait_until 10 no_traversals_in_flight
[ $((taken * 2)) -gt "$hops" ] || die "it took the lock for $taken of $hops reads only"

exo unpin $MNT/index
exo prog unload btree_lookup
umount $MNT
echo 0 >$tracing/events/kprobes/exo_turns/enable
echo >$tracing/kprobe_events
unload_module_check
