# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Fault injection for the tests of exo.ko, read after lib.sh. Skips on a kernel that has none. Faults are off
# after begin_faults, and at the end of the script whatever happens, so that the next test has none.
FAULT_KINDS='failslab fail_page_alloc fail_usercopy fail_make_request fail_io_timeout'
faults=/sys/kernel/debug

no_faults() {
    local kind
    for kind in $FAULT_KINDS; do
        echo 0 >"$faults/$kind/probability"
        echo 0 >"$faults/$kind/require-start" 2>/dev/null || true
        echo 0xffffffffffffffff >"$faults/$kind/require-end" 2>/dev/null || true
    done
    [ -d "$disk" ] || return 0
    echo 0 >"$disk/make-it-fail"
    echo 0 >"$disk/io-timeout-fail"
    echo 30000 >"$disk/queue/io_timeout"
    # The kernel keeps an error of writing back for the next who asks, once. That one must not be another test.
    sync "/dev/${disk##*/}" 2>/dev/null || true
}

# use_disk DEVICE: whose requests and completions may be made to fail, and which tests are given
use_disk() {
    disk=/sys/block/${1##*/}
    export EXO_TEST_DEVICE=$1
}

# begin_faults DRIVE: whose requests and completions may be made to fail
begin_faults() {
    local kind verbose
    [ -d $faults/failslab ] || skip "this kernel cannot inject faults"
    use_disk "$1"
    for kind in $FAULT_KINDS; do
        [ -d "$faults/$kind" ] || die "the kernel cannot inject $kind"
        echo -1 >"$faults/$kind/times"
    done
    # Drivers have faults of their own. The trace of each would be a fault in the log. Not all folders of
    # debugfs, since looking into some mounts them.
    for verbose in "$faults"/fail*/verbose "$faults"/nvme*/fault_inject/verbose; do
        echo 0 >"$verbose"
    done
    echo N >$faults/failslab/ignore-gfp-wait
    echo N >$faults/fail_page_alloc/ignore-gfp-wait
    echo N >$faults/fail_page_alloc/ignore-gfp-highmem
    echo 0 >$faults/fail_page_alloc/min-order
    trap no_faults EXIT
    no_faults
    echo 1 >"$disk/make-it-fail"
}

# only_in_module KIND PERCENT: only where exo.ko is on the stack, else nothing in the guest would run. To be
# called again when the module has been loaded again.
only_in_module() {
    local start size
    start=$((0x$(sed -n 's/^exo .* 0x\([0-9a-f]*\).*/\1/p' /proc/modules)))
    size=$(sed -n 's/^exo \([0-9]*\) .*/\1/p' /proc/modules)
    printf '0x%x' "$start" >$faults/"$1"/require-start
    printf '0x%x' $((start + size)) >$faults/"$1"/require-end
    echo 32 >$faults/"$1"/stacktrace-depth
    echo "$2" >$faults/"$1"/probability
}
