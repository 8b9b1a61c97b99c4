#!/bin/bash
# SPDX-License-Identifier: MIT
# The exo command without a module: indexes from text and back, exit codes, one line for each error.
# Usage: command_test.sh EXO_BINARY
set -euo pipefail
exo=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "failed: line $LINENO: $BASH_COMMAND" >&2' ERR
cd "$work"

die() {
    echo "failed: $*" >&2
    exit 1
}

# refuses CODE REGEX ARGUMENT...: that exit code, and one line on stderr that says so.
refuses() {
    local code=$1 regex=$2 status=0
    shift 2
    "$exo" "$@" >out 2>err || status=$?
    [ "$status" = "$code" ] || die "exo $*: exit code $status, wanted $code: $(cat out err)"
    [ "$(wc -l <err)" = 1 ] || die "exo $*: not one line on stderr: $(cat err)"
    grep -qE -- "$regex" err || die "exo $*: no '$regex' in: $(cat err)"
}

printf 'b\ttwo\na\tone\nc\t\n' >in.tsv
"$exo" index build -o index in.tsv >out
grep -q '3 records, depth 1' out
[ "$("$exo" index dump index)" = "$(printf 'a\tone\nb\ttwo\nc\t')" ]
[ "$("$exo" index dump --keys --from b --limit 1 index)" = b ]
[ "$("$exo" lookup --user index a)" = one ]
"$exo" index verify index >/dev/null
"$exo" --json index info index >out
grep -q '"records": 3' out
"$exo" index info --json index >out
grep -q '"depth": 1' out
"$exo" lookup --user --json index b >out
grep -q '"value": "two"' out
"$exo" index dump --keys index | "$exo" lookup --user --keys - --absent --jobs 3 --json index >out
grep -q '"found": 3' out
grep -q '"absent": 3' out
grep -q '"mismatches": 0' out
grep -q '"calls": 0' out

refuses 1 'index has no key "zebra"' lookup --user index zebra
refuses 3 'index: is there already; --force replaces it' index build -o index in.tsv
"$exo" index build --force -o index in.tsv >/dev/null
printf 'a\t1\na\t2\n' >twice.tsv
refuses 3 'key "a" occurs more than once' index build -o other twice.tsv
[ ! -e other ] || die "a failed build left a file"
[ -z "$(ls -- *.partial-* 2>/dev/null)" ] || die "a failed build left a partial file"
"$exo" index build --duplicates last -o other twice.tsv >/dev/null
[ "$("$exo" lookup --user other a)" = 2 ]
echo 'no tab here' >bad.tsv
refuses 3 'bad.tsv:1: no tab' index build -o x bad.tsv
refuses 3 'missing.tsv: No such file' index build -o x missing.tsv
refuses 3 'in.tsv is not an index file' lookup --user in.tsv a
refuses 3 'in.tsv is not an index file' index info in.tsv
refuses 3 'missing: No such file' lookup --user missing a

cat >Packages <<'LIST'
Package: bash
Version: 5.2
Description: GNU Bourne Again SHell
 more text

Package: dash
Version: 0.5
LIST
"$exo" index build --format debian-packages -o packages <Packages >/dev/null
[ "$("$exo" lookup --user packages bash)" = '5.2 GNU Bourne Again SHell' ]
[ "$("$exo" lookup --user packages dash)" = '0.5 ' ]
refuses 3 'no package in it' index build --format debian-packages -o y in.tsv

cp index damaged
printf 'X' | dd of=damaged bs=1 seek=5000 conv=notrunc status=none
refuses 1 'damaged: the node at offset 4096 is damaged \(wrong checksum\)' index verify damaged

refuses 2 'exo --help' nonsense
refuses 2 'mount comes first, and takes no --json' --json mount device "$work"
refuses 2 'umount comes first, and takes no --json' --json umount
"$exo" mount --help >out
grep -q 'nokernel' out || die "exo mount --help does not name its own options"
refuses 2 'required' lookup
refuses 2 'KEY' lookup --user index
refuses 2 'excludes' lookup --user --compare index a
refuses 2 'excludes' lookup --user --batch 2 index a
refuses 2 'batch' lookup --batch 0 index a
refuses 2 'batch' lookup --batch 1025 index a
refuses 3 'is not on an exo mount' pin in.tsv
refuses 3 'is not on an exo mount' map in.tsv
refuses 3 'not a BPF object' prog load in.tsv
if [ ! -e /dev/exo ]; then
    refuses 3 'module' info
    refuses 3 '--user looks up without it' lookup index a
fi
"$exo" --help >out
for word in mount traverse audit lookup; do
    grep -q "$word" out || die "exo --help does not teach '$word'"
done
echo "all as it should be"
