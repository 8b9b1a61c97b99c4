#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# exo trim, exo place and exo map as a user calls them, on a real mount: what they do, what they
# say, and their exit codes. Usage: commands_test.sh BIN-FOLDER
set -u
bin=$1
if [ "$(id -u)" != 0 ] || [ ! -w /dev/fuse ]; then
    echo "skipped: mounting needs root and /dev/fuse"
    exit 77
fi
work=$(mktemp -d /var/tmp/exo-commands-XXXXXX)
image=$work/image mnt=$work/mnt
clean_up() {
    "$bin/exo" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
failures=0

wrong() {
    echo "$*"
    cat "$work/out"
    failures=$((failures + 1))
}

# expect CODE COMMAND...: its output is in $work/out.
expect() {
    local wanted=$1 code=0
    shift
    "$@" >"$work/out" 2>&1 </dev/null || code=$?
    [ "$code" = "$wanted" ] || wrong "$*: exit code $code instead of $wanted"
}

said() {
    grep -qE -- "$1" "$work/out" || wrong "not said: $1"
}

# number MEMBER: of the JSON object just printed.
number() {
    sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$work/out" | sed -n 1p
}

mkdir "$mnt"
chmod 755 "$work"
truncate -s 256M "$image"
expect 0 "$bin/exo" mkfs -q "$image"
expect 0 "$bin/exo" mount "$image" "$mnt"

# Trim: what a removed file had goes back to the host; what is used does not.
head -c 33554432 /dev/urandom >"$mnt/removed"
head -c 16777216 /dev/urandom >"$mnt/kept"
sync "$mnt/removed" "$mnt/kept"
sum=$(sha256sum <"$mnt/kept")
rm "$mnt/removed"
sync "$mnt"
before=$(stat -c %b "$image")
expect 0 "$bin/exo" trim --json "$mnt"
trimmed=$(number trimmed_bytes)
[ "${trimmed:-0}" -gt 33554432 ] || wrong "only ${trimmed:-nothing} trimmed"
[ "${trimmed:-0}" -lt $((256 << 20)) ] || wrong "more trimmed than there is"
[ $((before - $(stat -c %b "$image"))) -ge 65536 ] || wrong "the image did not shrink by 32 MiB"
expect 0 "$bin/exo" trim "$mnt"
said 'trimmed$'
expect 0 "$bin/exo" trim --minimum 1073741824 --json "$mnt"
[ "$(number trimmed_bytes)" = 0 ] || wrong "a minimum was not kept"
echo 3 >/proc/sys/vm/drop_caches
[ "$(sha256sum <"$mnt/kept")" = "$sum" ] || wrong "a trim harmed a file"

expect 3 "$bin/exo" trim "$work"
said 'not on an exo mount'
expect 3 "$bin/exo" trim "$work/none"
said 'No such file'
expect 3 setpriv --reuid 65534 --regid 65534 --clear-groups "$bin/exo" trim "$mnt"
said 'only root may trim'

# Place: what is written next is there.
expect 0 "$bin/exo" place "$mnt/placed" --at $((128 << 20))
head -c 1000000 /dev/urandom >"$work/data"
cat "$work/data" >>"$mnt/placed"
sync "$mnt/placed"
expect 0 "$bin/exo" map --json "$mnt/placed"
[ "$(number disk_offset)" = $((128 << 20)) ] || wrong "it is not where it was placed"
dd if="$image" bs=1M skip=128M count=1000000 iflag=skip_bytes,count_bytes status=none | cmp - "$work/data" ||
    wrong "its data is elsewhere"
expect 0 "$bin/exo" place "$mnt/near" --near "$mnt/placed"
cat "$work/data" >>"$mnt/near"
sync "$mnt/near"
expect 0 "$bin/exo" map --json "$mnt/near"
at=$(number disk_offset)
if [ "${at:-0}" -lt $(((128 << 20) + 1003520)) ] || [ "$at" -ge $((144 << 20)) ]; then
    wrong "it is at ${at:-nowhere}"
fi

expect 3 "$bin/exo" place "$mnt/placed" --at $((256 << 20))
said 'outside of the file system'
expect 3 "$bin/exo" place "$mnt" --at 4096
said 'directory'
expect 3 "$bin/exo" place "$mnt/placed" --near "$work/data"
said 'not on the file system of'
expect 3 "$bin/exo" place "$mnt/placed" --near "$mnt/none"
said 'No such file'
expect 3 "$bin/exo" place "$work/data" --at 4096
said 'not on an exo mount'
[ -s "$work/data" ] || wrong "a file that could not be placed is gone"
expect 3 "$bin/exo" place "$work/new" --at 4096
said 'not on an exo mount'
expect 3 "$bin/exo" place "$mnt/new" --at $((256 << 20))
said 'outside of the file system'
for made in "$work/new" "$mnt/new"; do
    [ ! -e "$made" ] || wrong "$made was made, though it could not be placed"
done

expect 0 "$bin/exo" umount "$mnt"
expect 0 "$bin/exo" fsck -n "$image"
expect 0 "$bin/exo" mount -o ro "$image" "$mnt"
expect 3 "$bin/exo" trim "$mnt"
said 'read-only'
expect 3 "$bin/exo" place "$mnt/placed" --at 4096
said 'ead-only'
expect 0 "$bin/exo" umount "$mnt"

if [ "$failures" != 0 ]; then
    echo "$failures failures"
    exit 1
fi
