#!/bin/bash
# SPDX-License-Identifier: MIT
# What lookups and programs say when something is wrong: no index, damage, a rejected program, no
# permission; and a lookup that is killed leaves nothing behind.
# time-limit: 400
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

clean_up_lookups_at_exit

fresh_fs "$DRIVE"
keys=$((20000 / EXO_TIME_SCALE))
seq -f 'key %.0f' $keys | sed 's/\(.*\)/\1\tvalue of \1/' >"$TMPDIR/tsv"
cut -f1 "$TMPDIR/tsv" >"$TMPDIR/keys"
exo index build -o $MNT/index "$TMPDIR/tsv"
exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"

step "a file that is no index"
cp "$TMPDIR/tsv" $MNT/text
exo pin $MNT/text
expect_fail 'text is not an index file \(make one with exo index build\)' exo lookup $MNT/text key

step "an index whose node was damaged before it was pinned"
cp $MNT/index $MNT/damaged
root=$(($(stat -c %s $MNT/damaged) - 4096))
printf 'XXXX' | dd of=$MNT/damaged bs=1 seek=$root conv=notrunc status=none
exo pin $MNT/damaged
expect_fail "node at offset $root is damaged" exo lookup $MNT/damaged 'key 1'
expect_fail "key \"key 1\": .*node at offset $root is damaged" \
    exo lookup --keys "$TMPDIR/keys" $MNT/damaged
exo audit >"$TMPDIR/audit"
grep -q grant-open "$TMPDIR/audit" || die "the audit trail has no grant"

step "a file that is not pinned, and one without the right to read it"
expect_fail 'not pinned \(exo pin FILE\)' exo lookup $MNT/index 'key 1'
exo pin $MNT/index
chmod 600 $MNT/index
expect_fail 'Permission denied' as_nobody exo lookup $MNT/index 'key 1'
chmod 644 $MNT/index

step "the module's bounds, which refusals send people to"
exo info >"$TMPDIR/info"
for word in 'derived grants' 'fan-out' 'sets' 'max slots: ' 'max fan out: '; do
    grep -q "$word" "$TMPDIR/info" || die "exo info lacks '$word': $(cat "$TMPDIR/info")"
done

step "a program whose id cannot be had is not kept"
# As seen by the loader alone, /dev/exo is something else.
# shellcheck disable=SC2016  # for the inner shell
expect_fail 'does not answer as exo does' unshare -m sh -c \
    'mount --bind /dev/null /dev/exo && exo prog load "$EXO_BUILD/tests/bpf/test_stride.bpf.o"'
exo prog load "$EXO_BUILD/tests/bpf/test_stride.bpf.o"
exo prog unload test_stride

step "a program that the verifier rejects"
refused=$EXO_BUILD/tests/bpf/refused/unchecked_block.bpf.o
expect_fail "was rejected by the kernel's verifier: " exo prog load "$refused"
exo prog load "$refused" 2>"$TMPDIR/log" || true
lines=$(wc -l <"$TMPDIR/log")
((lines >= 2 && lines <= 20)) || die "the log has $lines lines: $(cat "$TMPDIR/log")"
cat "$TMPDIR/log"
expect_fail 'no traversal program in it' exo prog load "$EXO_BUILD/tests/bpf/btree_lookup_sim.bpf.o"
expect_fail 'not a BPF object' exo prog load "$TMPDIR/tsv"
expect_fail 'no program nothing is kept' exo prog unload nothing

step "kill -9 of a process that looks up"
# Far more than can be done before it is killed, or cut.
for _ in $(seq 50); do cat "$TMPDIR/keys"; done >"$TMPDIR/many"
for batch in 1 16 256 1024; do
    exo lookup --keys "$TMPDIR/many" --jobs 4 --batch $batch $MNT/index >/dev/null 2>&1 &
    victim=$!
    wait_until 30 traversals_in_flight
    sleep 0.1
    kill -9 "$victim" 2>/dev/null || true
    wait "$victim" 2>/dev/null || true
done
wait_until 10 no_traversals_in_flight
expect_equal "$(exo --json grants | tr -d ' \n')" '[]' "grants left open"
exo lookup --keys "$TMPDIR/keys" --compare $MNT/index

step "unpinning while lookups run cuts them off with a reason"
for batch in 1 256; do
    exo lookup --keys "$TMPDIR/many" --jobs 2 --batch $batch $MNT/index >/dev/null 2>"$TMPDIR/cut" &
    victim=$!
    wait_until 30 traversals_in_flight
    exo unpin $MNT/index
    status=0
    wait "$victim" || status=$?
    [ "$status" != 0 ] || die "lookups went on after the file was unpinned"
    grep -q 'revoked' "$TMPDIR/cut" || die "they ended, but not saying why: $(cat "$TMPDIR/cut")"
    cat "$TMPDIR/cut"
    exo pin $MNT/index
done
exo unpin $MNT/index
exo audit >"$TMPDIR/audit"
grep -q grant-revoke "$TMPDIR/audit" || die "the audit trail does not know"
echo "can be written again" >>$MNT/index

step "weaker grants are handed out, listed with what they may do and whose they are, put into a set, and taken back"
exo pin $MNT/index
exo prog load "$EXO_BUILD/tests/bpf/test_stride.bpf.o"
cat >"$TMPDIR/listed" <<'END'
#!/bin/bash
# listed CHILD PARENT
set -euo pipefail
exo --json grants | tr -d '\n' | sed 's/}, */}\n/g' >"$TMPDIR/grants"
exo grants
child=$(grep "\"id\": $1," "$TMPDIR/grants")
for member in "\"parent\": $2," '"rights": "traverse",' '"program": "test_stride",' '"in_flight_limit": 3,' \
    '"range_start": 4096,' '"range_len": 16384,'; do
    grep -qF "$member" <<<"$child"
done
grep -q '"expires": "20' <<<"$child"
parent=$(grep "\"id\": $2," "$TMPDIR/grants")
for member in '"parent": null,' '"rights": "traverse,blocks,derive",' '"program": "any",' '"expires": null,'; do
    grep -qF "$member" <<<"$parent"
done
# The same for people.
exo grants >"$TMPDIR/table"
for heading in PARENT RIGHTS PROGRAM EXPIRES 'AT ONCE'; do grep -q "$heading" "$TMPDIR/table"; done
grep -Eq "^ *$1 +$2 .* traverse +test_stride +20" "$TMPDIR/table"
grep -Eq "^ *$2 +- .* traverse,blocks,derive +any +- " "$TMPDIR/table"
END
chmod +x "$TMPDIR/listed"
"$EXO_BUILD/tests/exo_hand_out" $MNT/index test_stride "$TMPDIR/listed"
exo prog unload test_stride

step "an administrator takes a grant back by its number"
exo lookup --keys "$TMPDIR/many" $MNT/index >/dev/null 2>"$TMPDIR/cut" &
victim=$!
wait_until 30 traversals_in_flight
grant=$(exo --json grants | sed -n 's/.*"id": \([0-9]*\).*/\1/p')
expect_fail 'needs root' as_nobody exo revoke "$grant"
exo revoke "$grant" | tee "$TMPDIR/revoked"
grep -q "grant $grant: 1 grant revoked" "$TMPDIR/revoked" || die "it was not revoked"
status=0
wait "$victim" || status=$?
[ "$status" != 0 ] || die "lookups went on after their grant was revoked"
grep -q 'revoked' "$TMPDIR/cut" || die "they ended, but not saying why: $(cat "$TMPDIR/cut")"
expect_fail "no grant $grant: see exo grants" exo revoke "$grant"
exo unpin $MNT/index

step "everything goes"
exo unpin $MNT/text $MNT/damaged
exo prog unload btree_lookup
umount $MNT
unload_module_check
