#!/bin/bash
# SPDX-License-Identifier: MIT
# Reads of every size and alignment over randomly fragmented files, first ones and chains of them, equal pread() of
# the mounted files, on each engine. More: tools/vm/run ... --script THIS READS [SEED]
# time-limit: 600
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

programs=(test_hooks test_walk)
unload() {
    local program
    for program in "${programs[@]}"; do
        exo prog unload "$program"
    done
}
trap 'unload >/dev/null 2>&1 || true' EXIT
fresh_fs "$DRIVE"
for program in "${programs[@]}"; do
    exo prog load "$EXO_BUILD/tests/bpf/$program.bpf.o"
done
"$EXO_BUILD/tests/exo_compare_reads" $MNT "${1:-$((50000 / EXO_TIME_SCALE))}" "${@:2}"
for file in "$MNT"/reads.[01]; do
    extents=$(exo --json map "$file" | sed -n 's/.*"extent_count": \([0-9]*\).*/\1/p')
    [ "$extents" -ge 300 ] || die "$file has only $extents extents"
done
unload
umount $MNT
