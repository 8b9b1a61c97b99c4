# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What runs the virtual machine's CPUs: KVM, or QEMU's emulation (TCG) and how that may be used.
# shellcheck disable=SC2034,SC2154  # set for, or by, tools/vm/run

# QEMU before this version emulates Linux wrongly in two ways. It translates code while another CPU
# may be changing it; Linux changes its own code all the time (static keys, tracing), and then stops
# with "Oops: int3" on a breakpoint that has long been taken out. And with one thread for all CPUs it
# leaves memory barriers out, so that now and then an NVMe drive is not told of a command. Fixed by
# its commits "Always lock pages before translation" and "Do not elide memory barriers".
exo_qemu_version=8.1

# /dev/kvm alone proves nothing: without svm or vmx in the CPU a KVM guest hangs at once.
kvm_works() {
    [ -r /dev/kvm ] && [ -w /dev/kvm ] && grep -qwE 'svm|vmx' /proc/cpuinfo
}

qemu_emulates_well() {
    local version
    version=$(qemu-system-x86_64 --version | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | sed -n 1p)
    printf '%s\n' "$exo_qemu_version" "$version" | sort -V -C
}

# Sets accel (options for QEMU) and accel_name.
choose_accelerator() {
    if [ "${EXO_VM_ACCEL:-}" = kvm ] || { [ -z "${EXO_VM_ACCEL:-}$icount" ] && kvm_works; }; then
        accel=(-accel kvm -cpu host)
        accel_name=KVM
        return
    fi
    qemu_emulates_well ||
        die "this QEMU is older than $exo_qemu_version and cannot emulate Linux reliably; run tools/setup, which gets a newer one"
    if [ -n "$icount" ]; then
        accel=(-accel "tcg,thread=single" -cpu "max,la57=off" -icount "shift=0,sleep=off" -rtc "base=utc,clock=vm")
        accel_name="TCG, icount"
    else
        accel=(-accel "tcg,thread=multi" -cpu "max,la57=off")
        accel_name=TCG
    fi
}
