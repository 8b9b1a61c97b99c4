#!/bin/bash
# SPDX-License-Identifier: MIT
# The virtual machine is what every other test takes for granted.
. "$EXO_TOP/tests/vm/lib.sh"

[[ $(uname -r) == 6.12.* ]] || die "this is Linux $(uname -r)"

step "the drives are there, first one first, with hardware queues and poll queues"
expect_equal "$(tr -d " " </sys/block/nvme0n1/device/serial)" exo0 "serial of nvme0"
if [ "$EXO_DRIVES" -gt 1 ]; then
    expect_equal "$(tr -d " " </sys/block/nvme1n1/device/serial)" exo1 "serial of nvme1"
fi
[ -d /sys/block/nvme0n1/mq/0 ] || die "$DRIVE has no hardware queue (is NVMe multipath on?)"
[ "$(cat /sys/module/nvme/parameters/poll_queues)" -gt 0 ] || die "nvme has no poll queues"

step "what was written to the host's files goes to memory"
echo changed >"$EXO_TOP/README.md"
expect_equal "$(cat "$EXO_TOP/README.md")" changed "the guest's view of a changed file"
[ "$(stat -f -c %T /)" = overlayfs ] || die "the root is not an overlay"

step "mounts that programs look for"
for folder in /proc /sys /dev /dev/pts /dev/shm /run /sys/kernel/debug /sys/kernel/tracing \
    /sys/fs/bpf /sys/fs/cgroup /sys/kernel/config; do
    mountpoint -q "$folder" || die "nothing is mounted on $folder"
done
[ -c /dev/fuse ] || die "there is no /dev/fuse"
[ -e /sys/kernel/btf/vmlinux ] || die "the kernel has no BTF"
as_nobody test -w /dev/fuse || die "an ordinary user cannot open /dev/fuse"

step "modules load on demand"
modprobe null_blk
[ -d /sys/module/null_blk ] || die "null_blk did not load"
rmmod null_blk
