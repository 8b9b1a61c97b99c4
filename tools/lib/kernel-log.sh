# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What counts as a fault in a kernel log. Used on the host (whole log of a run) and in the guest
# (log of one test), so that both judge alike.

# One extended regular expression per line of the array.
kernel_log_faults=(
    'WARNING: '
    'BUG: '
    'Oops'
    'general protection'
    'Kernel panic'
    'KASAN'
    'KCSAN'
    'UBSAN'
    'KFENCE'
    'unreferenced object'
    'refcount_t: '
    'possible circular locking'
    'possible recursive locking'
    'inconsistent lock state'
    'possible irq lock inversion'
    'suspicious RCU usage'
    'held lock freed'
    'trying to register non-static key'
    'turning off the locking correctness validator'
    'still held when'
    'rcu.*(self-detected stall|detected stalls|detected expedited stalls)'
    'soft lockup'
    'hard LOCKUP'
    'hung_?task'
    'blocked for more than'
    'scheduling while atomic'
    'sleeping function called from invalid context'
    'unable to handle'
    'list_(add|del) corruption'
    'ODEBUG: '
    'bad page state'
    'Call Trace:'
    'stack-protector'
    'nobody cared'
)

# Lines a stock kernel prints about the machine, which say nothing about exo.
kernel_log_harmless='Spectre V2 : WARNING|MDS CPU bug|MMIO Stale Data CPU bug|Command line: |hung_task_panic'

# kernel_log_scan FILE: prints the lines that are faults, numbered; succeeds when there are any.
kernel_log_scan() {
    local IFS='|'
    # -a: a crashing guest may leave binary bytes in its log.
    tr -d '\r' <"$1" | grep -anE "${kernel_log_faults[*]}" | grep -avE "$kernel_log_harmless"
}

# kernel_log_report FILE: the first faults with what the kernel said around them.
kernel_log_report() {
    local first
    first=$(kernel_log_scan "$1" | sed -n 1p | cut -d: -f1)
    [ -n "$first" ] || return 1
    echo "kernel log, from line $first of $(wc -l <"$1"):"
    tr -d '\r' <"$1" | sed -n "$((first > 3 ? first - 3 : 1)),$((first + 45))p" | sed 's/^/    /'
}
