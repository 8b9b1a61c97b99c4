#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fio writes at random and verifies what it reads back: buffered, direct, mapped and asynchronous,
# in files that were preallocated, punched and zeroed, and again after a remount.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"

need fio fio
size=24m
[ -z "$long" ] || size=400m
new_volume 1G

# run NAME OPTION...: writes with checksums, then reads everything back.
jobs=()
run() {
    local name=$1
    shift
    jobs+=("$name")
    printf '%s\n' "$@" >"$work/$name.options"
    fio --name="$name" --filename="$mnt/$name" --size="$size" --verify=crc32c --verify_fatal=1 \
        --randseed=20261122 --minimal --aux-path="$work" --output="$work/$name.log" "$@" || {
        tail -n 5 "$work/$name.log"
        fail "fio $name"
    }
    step "$name"
}
run buffered --rw=randwrite --bs=512-64k --ioengine=psync --fsync=200
run direct --rw=randwrite --bs=4k-64k --direct=1 --ioengine=psync
run mapped --rw=randwrite --bs=4k --ioengine=mmap --fsync=500
run native --rw=randwrite --bs=4k-16k --direct=1 --ioengine=psync --fallocate=native
run keep --rw=randwrite --bs=1k-8k --ioengine=psync --fallocate=keep
run async --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=16 --fallocate=native
run synced --rw=randwrite --bs=8k --ioengine=psync --sync=1 --io_size=4m
run sequential --rw=write --bs=1m --ioengine=psync --fallocate=truncate

# Holes and zeros made in a file of known content.
step "punch and zero"
head -c 8M /dev/urandom >"$work/mirror"
cp "$work/mirror" "$mnt/holes"
for ((i = 0; i < 200; i++)); do
    at=$((RANDOM * 256 + RANDOM % 256)) length=$((RANDOM * 3 + 1))
    case $((i % 4)) in
    0) how=(--punch-hole) ;;
    1) how=(--zero-range) ;;
    2) how=(--zero-range --keep-size) ;;
    3) how=(--keep-size) ;; # allocates only
    esac
    fallocate "${how[@]}" -o "$at" -l "$length" "$work/mirror"
    fallocate "${how[@]}" -o "$at" -l "$length" "$mnt/holes"
    if [ $((i % 5)) = 0 ]; then
        printf '%s' "$i written" | dd of="$work/mirror" bs=1 seek="$at" conv=notrunc status=none
        printf '%s' "$i written" | dd of="$mnt/holes" bs=1 seek="$at" conv=notrunc status=none
    fi
done
cmp "$work/mirror" "$mnt/holes" || fail "punched and zeroed content differs"

step "remount and verify again"
remount_volume
cmp "$work/mirror" "$mnt/holes" || fail "punched and zeroed content differs after the remount"
for name in "${jobs[@]}"; do
    mapfile -t options <"$work/$name.options"
    fio --name="$name" --filename="$mnt/$name" --size="$size" --verify=crc32c --verify_fatal=1 \
        --randseed=20261122 --minimal --aux-path="$work" --output="$work/$name.log" "${options[@]}" --verify_only=1 || {
        tail -n 5 "$work/$name.log"
        fail "fio $name after the remount"
    }
done
unmount_volume
step "done: ${#jobs[@]} kinds of writing"
