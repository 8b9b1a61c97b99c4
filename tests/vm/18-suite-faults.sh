#!/bin/bash
# SPDX-License-Identifier: MIT
# The tests of the interface, each in a process of its own, while some of what they need fails wherever exo.ko is on
# the stack. What they assert need not hold then; that each ends or can be killed, that nothing of it is left in the
# module, and that the kernel has nothing to say, must. Others: tools/vm/run ... --script THIS SUITE,SUITE...; all of
# them, which takes three quarters of an hour, by the word "all".
# time-limit: 600
. "$EXO_TOP/tests/vm/lib.sh"
. "$EXO_TOP/tests/vm/faults.sh"

need_module
need_commands exo
begin_faults "$SECOND_DRIVE"
modprobe fuse
export EXO_TEST_ROUNDS=5 EXO_TEST_READS=200
suites=${1:-batch,uring,cache,derive,fan-out,sets,grants,calls}
[ "$suites" != all ] || suites='*'
# Those of fairness and memory measure, and wait long before they do.
"$EXO_BUILD/tests/uapi/exo_uapi_test" --list-test-cases -ts="$suites" -tse=fairness,memory --no-intro=1 |
    grep -v '^\(\[doctest\]\|=\)' >"$TMPDIR/cases"
[ "$(wc -l <"$TMPDIR/cases")" -ge 20 ] || die "there are only $(wc -l <"$TMPDIR/cases") tests of $suites"

# run_all KIND PERCENT: each test with faults on, and none while its leavings are looked at
run_all() {
    local name status passed=0 failed=0 killed=0
    while read -r name; do
        status=0
        echo "$2" >"$faults/$1/probability"
        # A test that waits for what has failed waits for ever; one that cannot be killed fails this script.
        timeout --signal=KILL $((20 * EXO_TIME_SCALE / 2)) "$EXO_BUILD/tests/uapi/exo_uapi_test" \
            -tc="${name//,/\\,}" >"$TMPDIR/output" 2>&1 || status=$?
        case $status in
        0) passed=$((passed + 1)) ;;
        124 | 137) killed=$((killed + 1)) ;;
        *) failed=$((failed + 1)) ;;
        esac
        echo 0 >"$faults/$1/probability"
        # A test that failed left its volume with its pins.
        release_volumes
    done <"$TMPDIR/cases"
    echo "$1: $passed tests did not notice, $failed did, $killed were killed"
    [ "$failed" -gt 0 ] || die "no fault had any effect: this was no test"
}

for kind in failslab fail_page_alloc; do
    step "$kind"
    only_in_module $kind 0
    run_all $kind 2
    no_faults
    unload_module_check
done

step "requests that fail"
echo 1 >"$disk/make-it-fail"
run_all fail_make_request 1
no_faults
unload_module_check
