# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The stages of tools/check --debug-kernel: the kernel and exo.ko for it, and the virtual machine's
# tests on it, twice. Needs build-module.sh and check-tests.sh.
# shellcheck disable=SC2154  # build and patterns are set in tools/check

# How many times slower than Debian's the debug kernel is, at most, in emulation.
debug_time_scale=8

# Beside the build, since every object differs.
debug_module() {
    echo "$build-debug/kmod"
}

stage_debug-kernel() {
    local folder module
    module=$(debug_module)
    folder=$("$EXO_TOP/tools/vm/build-debug-kernel")
    build_module "$EXO_TOP/kmod" "$module" "$folder/build" "$(nproc)"
    echo "$folder" >"$module/kernel"
}

# debug_machine NAME OPTION...: a machine with that kernel; NAME is the log's.
debug_machine() {
    local name=$1 module
    module=$(debug_module)
    shift
    # An emulated CPU may not run for long while others use the machine; its clock is right all the same.
    "$EXO_TOP/tools/vm/run" --kernel "$(cat "$module/kernel")" --build-dir "$build" \
        --module "$module/exo.ko" --memory 4G --time-scale "$debug_time_scale" \
        --append "rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 tsc=reliable" \
        --keep-log "$build/check/$name-kernel.log" "$@"
}

# run_debug NAME OPTION...: the tests, with the options of tools/vm/run.
run_debug() {
    local name=$1 status=0 output=$build/check/$1.out
    shift
    debug_machine "$name" --timeout 14400 "$@" --tests "${patterns[@]}" 2>&1 | tee "$output" || status=$?
    counts_of vm "$output" || status=1
    # It ends the machine, so it has one of its own.
    if [ ${#patterns[@]} -eq 0 ]; then
        debug_machine "$name-suspend" --timeout 1600 "$@" -- \
            "$build/tests/uapi/exo_uapi_suspend" || status=1
    fi
    return "$status"
}

stage_debug-lockdep() {
    run_debug debug-lockdep
}

# Lockdep cannot see why a read that is reissued in an interrupt is safe; KASAN and the others can
# watch it.
stage_debug-direct() {
    run_debug debug-direct --append lockdep.prove_locking=0 --module-args direct_issue=2
}
