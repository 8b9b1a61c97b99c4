#!/bin/bash
# SPDX-License-Identifier: MIT
# Memory, user accesses, requests and devices that fail: one by one in every call, and at random under random calls.
# Every call ends with a definite result, and nothing is left. Only on a kernel with fault injection (--debug-kernel).
# time-limit: 400
. "$EXO_TOP/tests/vm/lib.sh"

need_module
faults=/sys/kernel/debug
[ -d $faults/failslab ] || skip "this kernel cannot inject faults"
modprobe fuse
export EXO_TEST_DEVICE=$SECOND_DRIVE
disk=/sys/block/${SECOND_DRIVE##*/}

# Drivers have faults of their own. The trace of each would be a fault in the log.
for verbose in "$faults"/*/verbose "$faults"/*/*/verbose; do
    echo 0 >"$verbose"
done
for kind in failslab fail_page_alloc fail_usercopy fail_make_request fail_io_timeout; do
    [ -d $faults/$kind ] || die "the kernel cannot inject $kind"
    echo 0 >$faults/$kind/probability
    echo -1 >$faults/$kind/times
done
echo N >$faults/failslab/ignore-gfp-wait
echo N >$faults/fail_page_alloc/ignore-gfp-wait
echo N >$faults/fail_page_alloc/ignore-gfp-highmem
echo 0 >$faults/fail_page_alloc/min-order
echo 1 >"$disk/make-it-fail"

step "one after the other, in every call"
"$EXO_BUILD/tests/uapi/exo_uapi_faults"

# only_in_module KIND PERCENT: only where exo.ko is on the stack, else nothing in the guest would run.
only_in_module() {
    local start size
    start=$((0x$(sed -n 's/^exo .* 0x\([0-9a-f]*\).*/\1/p' /proc/modules)))
    size=$(sed -n 's/^exo \([0-9]*\) .*/\1/p' /proc/modules)
    printf '0x%x' "$start" >$faults/"$1"/require-start
    printf '0x%x' $((start + size)) >$faults/"$1"/require-end
    echo 32 >$faults/"$1"/stacktrace-depth
    echo "$2" >$faults/"$1"/probability
}

everywhere() { # KIND
    echo 0 >$faults/"$1"/probability
    echo 0 >$faults/"$1"/require-start
    echo 0xffffffffffffffff >$faults/"$1"/require-end
}

for kind in failslab fail_page_alloc fail_usercopy; do
    step "random calls, with a tenth of the chances of $kind taken"
    only_in_module $kind 10
    "$EXO_BUILD/tests/uapi/exo_uapi_fuzz" --seconds "${EXO_FUZZ_SECONDS:-8}"
    everywhere $kind
    unload_module_check
done

step "random calls, with a tenth of the requests failing"
echo 10 >$faults/fail_make_request/probability
"$EXO_BUILD/tests/uapi/exo_uapi_fuzz" --seconds "${EXO_FUZZ_SECONDS:-8}"
echo 0 >$faults/fail_make_request/probability
unload_module_check

step "random calls, with completions that get lost until the driver notices"
echo 1 >"$disk/io-timeout-fail"
echo 300 >"$disk/queue/io_timeout"
echo 1 >$faults/fail_io_timeout/probability
"$EXO_BUILD/tests/uapi/exo_uapi_fuzz" --seconds "${EXO_FUZZ_SECONDS:-8}"
echo 0 >$faults/fail_io_timeout/probability
echo 30000 >"$disk/queue/io_timeout"
echo 0 >"$disk/io-timeout-fail"
echo 0 >"$disk/make-it-fail"
unload_module_check
