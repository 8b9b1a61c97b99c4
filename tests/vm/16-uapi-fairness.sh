#!/bin/bash
# SPDX-License-Identifier: MIT
# Tenants share a device whose time is the bottleneck: it works on a few reads at once, each of which takes long
# enough that the processors have little to do.
# time-limit: 400
. "$EXO_TOP/tests/vm/lib.sh"

need_module
modprobe fuse
modprobe null_blk nr_devices=0
config=/sys/kernel/config/nullb
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
mkdir "$config/nullb0"
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Slower on a slow kernel, since a process must come back for its next read within fair_keep_us, 10 ms at most.
for setting in size=64 blocksize=512 irqmode=2 completion_nsec=$((EXO_TIME_SCALE * 10000000)) hw_queue_depth=8 submit_queues=1; do
    echo "${setting#*=}" >"$config/nullb0/${setting%%=*}"
done
echo 1 >"$config/nullb0/power"
wait_until 5 test -b /dev/nullb0
# Processes take longer here than on a real machine to ask for their next read.
echo $((EXO_TIME_SCALE == 1 ? 5000 : 10000)) >/sys/module/exo/parameters/fair_keep_us
EXO_TEST_DEVICE=/dev/nullb0 EXO_TEST_FAIRNESS=1 "$EXO_BUILD/tests/uapi/exo_uapi_test" -ts=fairness
echo 0 >"$config/nullb0/power"
rmdir "$config/nullb0"
unload_module_check
