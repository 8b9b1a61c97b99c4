#!/bin/bash
# SPDX-License-Identifier: MIT
# Reads of every size and alignment over randomly fragmented files equal pread() of the mounted files, on each engine.
# More: tools/vm/run ... --script THIS READS [SEED]
# time-limit: 300
. "$EXO_TOP/tests/vm/lib.sh"
need_module
need_commands exo mkfs.exo mount.exo

trap 'exo prog unload test_hooks >/dev/null 2>&1 || true' EXIT
fresh_fs "$DRIVE"
exo prog load "$EXO_BUILD/tests/bpf/test_hooks.bpf.o"
"$EXO_BUILD/tests/exo_compare_reads" $MNT test_hooks "${1:-$((20000 / EXO_TIME_SCALE))}" "${@:2}"
for file in $MNT/reads.*; do
    extents=$(exo --json map "$file" | sed -n 's/.*"extent_count": \([0-9]*\).*/\1/p')
    [ "$extents" -ge 500 ] || die "$file has only $extents extents"
done
exo prog unload test_hooks
umount $MNT
