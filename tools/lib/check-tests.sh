# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The stages of tools/check that run tests: unit, asan, tsan, fuse, workloads, harness, vm. Each
# tells its counts.
# shellcheck disable=SC2154  # build and patterns are set in tools/check

# Labels of tests that are not run on every machine, or not with everything.
not_unit='fuse|workload|vm|bench|long'

# run_ctest FOLDER CTEST_ARGUMENT...: runs and counts.
run_ctest() {
    local folder=$1 results=$1/ctest-results.xml status=0 tests=0 failures=0 unrun=0 pattern=''
    shift
    if [ ${#patterns[@]} -gt 0 ]; then
        pattern=$(IFS='|' && echo "${patterns[*]}")
    fi
    rm -f "$results"
    ctest --test-dir "$folder" --output-on-failure --output-junit "$results" --timeout 600 \
        -j "$(nproc)" ${pattern:+-R "$pattern"} "$@" || status=$?
    if [ -e "$results" ]; then
        tests=$(junit_number tests "$results")
        failures=$(junit_number failures "$results")
        unrun=$(($(junit_number skipped "$results") + $(junit_number disabled "$results")))
    fi
    if [ "$tests" = 0 ] && [ -n "$pattern" ]; then
        echo "no test matches $pattern"
        return 1
    fi
    count $((tests - failures - unrun)) "$failures" "$unrun"
    return "$status"
}

junit_number() { # ATTRIBUTE FILE: of the test suite
    local number
    number=$(grep -m 1 -A 12 '<testsuite' "$2" | grep -oE "\b$1=\"[0-9]+\"" | sed -n 1p | tr -dc 0-9)
    echo "${number:-0}"
}

stage_unit() {
    local status=0
    run_ctest "$build" -LE "$not_unit" || status=$?
    sed 's/^/note /' "$build/tests/crash/total.out" 2>/dev/null || true
    return "$status"
}

# In a folder of its own: sanitizers change every object file.
stage_asan() {
    "$EXO_TOP/tools/build" --no-module --sanitize address,undefined --build-dir "$build-asan"
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
        UBSAN_OPTIONS=print_stacktrace=1 run_ctest "$build-asan" -LE "$not_unit|bpf"
}

# Only the test cases that run threads: the others would take long, and show nothing that asan does
# not. A race, or locks taken in two orders, make a program end with 66. In long mode also a daemon
# with a mix of operations by several processes.
stage_tsan() {
    local program number cases=0 unrun=0 targets=(exo_fs_test fuse_workers_test)
    local output=$build/check/tsan.out
    [ -z "${EXO_WORK_LONG:-}" ] || targets+=(exo exo_mix)
    "$EXO_TOP/tools/build" --sanitize thread --build-dir "$build-tsan" "${targets[@]}"
    export TSAN_OPTIONS=second_deadlock_stack=1
    for program in exo_fs_test fuse_workers_test; do
        # Older sanitizers do not bear as much address space randomisation as newer kernels have.
        number=0
        setarch -R "$build-tsan/bin/$program" -ts=threads >"$output" 2>&1 || number=$?
        cat "$output"
        if [ "$number" = 77 ]; then
            unrun=$((unrun + 1))
            continue
        fi
        [ "$number" = 0 ] || return "$number"
        number=$(sed -n 's/.*test cases: *[0-9]* | *\([0-9]*\) passed.*/\1/p' "$output")
        if [ "${number:-0}" = 0 ]; then
            echo "$program has no tests of threads"
            return 1
        fi
        cases=$((cases + number))
    done
    if [ -n "${EXO_WORK_LONG:-}" ]; then
        setarch -R "$EXO_TOP/tests/workloads/run" --exo "$build-tsan/bin/exo" 60-mix
        cases=$((cases + 1))
    fi
    count "$cases" 0 "$unrun"
}

# Mounts share one kernel table and one fusermount: one after the other.
stage_fuse() {
    run_ctest "$build" -L fuse -j 1
}

# Real work on a mounted volume, one after the other: each uses all CPUs.
stage_workloads() {
    local status=0 output=$build/check/workloads.out
    "$EXO_TOP/tests/workloads/run" --exo "$build/bin/exo" "${patterns[@]}" 2>&1 |
        tee "$output" || status=$?
    counts_of workloads "$output" || status=1
    return "$status"
}

# counts_of NAME OUTPUT: adds up its lines "NAME: N passed, N failed, N skipped"; fails if there is none.
counts_of() {
    local lines
    lines=$(grep -aE "^$1: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped\$" "$2") || return 1
    # shellcheck disable=SC2046  # three words
    count $(tr -dc '0-9 \n' <<<"$lines" | awk '{ p += $1; f += $2; s += $3 } END { print p, f, s }')
}

stage_harness() {
    local status=0 output=$build/check/harness.out
    "$EXO_TOP/tests/vm/self-test/run" 2>&1 | tee "$output" || status=$?
    counts_of harness "$output" || status=1
    return "$status"
}

# Once kmod/ builds, a missing exo.ko is a failure: tools/vm/run says so.
stage_vm() {
    local status=0 options=() output=$build/check/vm.out
    if [ ! -e "$EXO_TOP/kmod/Kbuild" ]; then
        options+=(--no-module)
    fi
    "$EXO_TOP/tools/vm/run" --build-dir "$build" --timeout 2700 --keep-log "$build/check/kernel.log" \
        "${options[@]}" --tests "${patterns[@]}" 2>&1 | tee "$output" || status=$?
    # Devices of other kinds, in a machine of their own.
    if [ ${#patterns[@]} -eq 0 ] && [ -e "$EXO_TOP/kmod/Kbuild" ]; then
        "$EXO_TOP/tests/vm/devices/run" --build-dir "$build" --timeout 900 \
            --keep-log "$build/check/kernel-devices.log" 2>&1 | tee -a "$output" || status=$?
    fi
    counts_of vm "$output" || status=1
    # It ends the machine, so it has one of its own.
    if [ ${#patterns[@]} -eq 0 ] && [ -e "$EXO_TOP/kmod/Kbuild" ]; then
        "$EXO_TOP/tools/vm/run" --build-dir "$build" --timeout 200 -- \
            "$build/tests/uapi/exo_uapi_suspend" || status=1
        # The tests on a drive whose logical blocks have 4 KiB.
        "$EXO_TOP/tools/vm/run" --build-dir "$build" --timeout 400 --block-size 4096 -- \
            sh -c 'modprobe fuse && exec "$@"' sh "$build/tests/uapi/exo_uapi_test" \
            -ts=arguments,traversal,reads,cache,fan-out,sets,batch,uring,ring-care || status=1
    fi
    return "$status"
}
