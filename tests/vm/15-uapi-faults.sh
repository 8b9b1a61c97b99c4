#!/bin/bash
# SPDX-License-Identifier: MIT
# Memory, user accesses, requests and devices that fail: one by one in every call, and at random under random calls.
# Every call ends with a definite result, and nothing is left. Only on a kernel with fault injection (--debug-kernel).
# Longer at random: tools/vm/run ... --script THIS SECONDS
# time-limit: 800
. "$EXO_TOP/tests/vm/lib.sh"
. "$EXO_TOP/tests/vm/faults.sh"

need_module
begin_faults "$SECOND_DRIVE"
modprobe fuse

step "one after the other, in every call"
"$EXO_BUILD/tests/uapi/exo_uapi_faults"

step "no page is to be had for what is large"
only_in_module fail_page_alloc 0
"$EXO_BUILD/tests/uapi/exo_uapi_faults" --no-skip -ts="no pages"
no_faults

seconds=${1:-8}
fuzz() {
    "$EXO_BUILD/tests/uapi/exo_uapi_fuzz" --seconds "$seconds"
}

for kind in failslab fail_page_alloc fail_usercopy; do
    step "random calls, with a twentieth of the chances of $kind taken"
    only_in_module $kind 5
    fuzz
    no_faults
    unload_module_check
done

step "random calls, with a tenth of the requests failing"
echo 1 >"$disk/make-it-fail"
echo 10 >$faults/fail_make_request/probability
fuzz
no_faults
unload_module_check

# NVMe resets its controller then, and freezes its queue in one worker to thaw it in another, which Linux 6.12 does
# not tell lockdep ("workqueue leaked ... lock"); there a driver that completes the request serves as well.
if [ -e /proc/lockdep_stats ]; then
    modprobe null_blk nr_devices=0
    config=/sys/kernel/config/nullb/nullb0
    mkdir "$config"
    for setting in size=64 blocksize=512 irqmode=2 completion_nsec=20000 submit_queues=2 memory_backed=1; do
        echo "${setting#*=}" >"$config/${setting%%=*}"
    done
    echo 1 >"$config/power"
    wait_until 5 test -b /dev/nullb0
    use_disk /dev/nullb0
fi
step "random calls, with completions of $EXO_TEST_DEVICE that get lost until the driver notices"
echo 1 >"$disk/io-timeout-fail"
echo 300 >"$disk/queue/io_timeout"
echo 1 >$faults/fail_io_timeout/probability
fuzz
no_faults
unload_module_check
if [ -d "${config:-}" ]; then
    echo 0 >"$config/power"
    rmdir "$config"
fi
