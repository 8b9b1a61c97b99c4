#!/bin/bash
# SPDX-License-Identifier: MIT
# A partition is a volume of its own: what is read begins at its start. Two of one disk share what the disk has.
# time-limit: 360
. "$EXO_TOP/tests/vm/lib.sh"

need_module
need_commands addpart delpart
modprobe fuse
# Something else where the disk begins, so that a missed start shows.
dd if=/dev/urandom of="$SECOND_DRIVE" bs=1M count=4 status=none
addpart "$SECOND_DRIVE" 1 20480 65536
wait_until 5 test -b "${SECOND_DRIVE}p1"
EXO_TEST_DEVICE=${SECOND_DRIVE}p1 "$EXO_BUILD/tests/uapi/exo_uapi_test" -ts=traversal
delpart "$SECOND_DRIVE" 1

step "as many endless traversals as there are requests, on the other partition"
modprobe null_blk nr_devices=0
config=/sys/kernel/config/nullb
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
mkdir "$config/nullb0"
for setting in size=64 blocksize=512 irqmode=2 completion_nsec=20000 hw_queue_depth=4 submit_queues=1; do
    echo "${setting#*=}" >"$config/nullb0/${setting%%=*}"
done
echo 1 >"$config/nullb0/power"
wait_until 5 test -b /dev/nullb0
addpart /dev/nullb0 1 2048 32768
addpart /dev/nullb0 2 65536 32768
wait_until 5 test -b /dev/nullb0p2
EXO_TEST_DEVICE=/dev/nullb0p1 EXO_TEST_OTHER_PARTITION=/dev/nullb0p2 EXO_TEST_REQUESTS=4 \
    "$EXO_BUILD/tests/uapi/exo_uapi_test" -tc="two volumes of one disk*"
echo 0 >"$config/nullb0/power"
rmdir "$config/nullb0"
unload_module_check
