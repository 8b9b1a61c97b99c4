#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fsck.exo as fsck(8) calls it: options, exit codes, what is refused. Usage: command_test.sh BIN-FOLDER
set -u
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=$work/image
failures=0

# expect CODE ARGUMENT...: runs fsck.exo; its output is in $work/out.
expect() {
    local wanted=$1 code=0
    shift
    "$bin/fsck.exo" "$@" >"$work/out" 2>&1 </dev/null || code=$?
    if [ "$code" != "$wanted" ]; then
        echo "fsck.exo $*: exit code $code instead of $wanted"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}

said() {
    if ! grep -q "$1" "$work/out"; then
        echo "not said: $1"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}

damage() { # OFFSET: one byte
    printf 'x' | dd of="$image" bs=1 seek="$1" conv=notrunc status=none
}

truncate -s 32M "$image"
"$bin/mkfs.exo" "$image" >/dev/null || exit 1

expect 0 "$image"
said sound
expect 0 -n -f -v "$image"
expect 0 -y "$image"
expect 0 -p "$image"
said clean
expect 0 -p -f -C "$image"
said sound
expect 0 -a "$image"

expect 16 --nonsense "$image"
expect 16 -n -y "$image"
expect 16
expect 8 "$work/none"
expect 8 -n /dev/null

# A damaged backup: safe to mend.
damage $((1024 * 4096 + 300))
expect 4 "$image"
said 'block 1024'
expect 4 -n "$image"
expect 0 -p "$image" # marked clean
expect 1 -p -f "$image"
expect 0 "$image"

# The primary: everything else is found by a backup.
damage 300
expect 4 -n "$image"
expect 8 -n -b 1000 "$image"
expect 1 -y -b 1024 "$image"
expect 0 -n "$image"

# The system block: not safe.
damage $((2 * 4096 + 700))
expect 4 -p -f "$image"
said 'nothing was changed'
expect 4 -n --json "$image"
said '"class": "system-block"'
expect 1 -y "$image"
said repaired
expect 0 "$image"

# Another file system's start over it.
dd if=/dev/zero of="$image" bs=4096 count=1 conv=notrunc status=none
expect 4 -p "$image"
expect 1 -y "$image"
expect 0 "$image"

# In use by another program.
exec 9<>"$image"
flock -x 9
expect 8 -n "$image"
said 'in use'
exec 9>&-

dd if=/dev/zero of="$image" bs=1M count=32 conv=notrunc status=none
expect 8 -y "$image"

if [ "$failures" != 0 ]; then
    echo "$failures failures"
    exit 1
fi
