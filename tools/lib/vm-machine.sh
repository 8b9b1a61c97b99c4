# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The QEMU machine of tools/vm/run: its command line, its start and its end. Works on the variables
# of that script; judging the run is left to it.
# shellcheck disable=SC2154,SC2034  # they are set, or used, in tools/vm/run

# find_kernel_in FOLDER: sets release and image for a kernel laid out as on a machine.
find_kernel_in() {
    local found
    found=$(find "$1/boot" -maxdepth 1 -name 'vmlinuz-*' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] || die "there is no boot/vmlinuz-* in $1"
    image=$found
    release=${found##*/vmlinuz-}
}

kernel_command_line() {
    local words=(
        console=ttyS0 ignore_loglevel log_buf_len=4M nokaslr
        # A fault ends the run at once, with its report in the log.
        panic=-1 oops=panic
        # While it boots, Linux patches its own code most; emulated CPUs that run the code meanwhile
        # can meet a breakpoint that is gone ("Oops: int3", see accelerator.sh). guest/early-init
        # starts the others.
        maxcpus=1
        "nvme_core.multipath=$([ "$multipath" = 1 ] && echo Y || echo N)"
        "nvme.poll_queues=$poll_queues" null_blk.nr_devices=0
        "exo.init=$EXO_TOP/tools/vm/guest/init" "exo.job=$run"
    )
    echo "${words[*]} $append"
}

# Fills qemu_drives; images that are ours live in the run's folder.
make_drives() {
    local i file size subsystem
    qemu_drives=()
    for ((i = 0; i < drives; i++)); do
        file=$run/drive$i.img
        if [ "$i" = 0 ] && [ -n "$drive_file" ]; then
            file=$drive_file
        else
            truncate -s "$drive_size" "$file" || die "cannot make a drive of size $drive_size"
            if [ "$i" -gt 0 ]; then
                size=$(($(stat -c %s "$file") / 4 / 1048576 * 1048576))
                truncate -s "$size" "$file"
            fi
        fi
        # Only a namespace that controllers may share gets a multipath head.
        subsystem=''
        if [ "$multipath" = 1 ]; then
            qemu_drives+=(-device "nvme-subsys,id=subsys$i,nqn=exo$i")
            subsystem=,subsys=subsys$i
        fi
        qemu_drives+=(
            -drive "file=$file,if=none,id=drive$i,format=raw,cache=unsafe,discard=unmap"
            -device "nvme,id=nvme$i,serial=exo$i$subsystem"
            -device "nvme-ns,drive=drive$i,bus=nvme$i,logical_block_size=$block_size,physical_block_size=$block_size"
        )
    done
}

# add_backing NAME: a small image of that name
add_backing() {
    truncate -s 256M "$run/$1.img" || die "cannot make a drive"
    qemu_drives+=(-drive "file=$run/$1.img,if=none,id=$1,format=raw,cache=unsafe,discard=unmap")
}

# Those that few tests want.
make_more_drives() {
    local i
    for i in "${!namespaces[@]}"; do
        add_backing "extra$i"
        qemu_drives+=(
            -device "nvme,id=nvme-extra$i,serial=extra$i"
            -device "nvme-ns,drive=extra$i,bus=nvme-extra$i,${namespaces[i]}"
        )
    done
    if [ -n "$virtio_drive" ]; then
        add_backing virtio
        qemu_drives+=(-device "virtio-blk-pci,drive=virtio")
    fi
}

# Starts QEMU in the background. Its end is told on the control fifo as `gone CODE`. Should this
# script be killed outright, the kernel kills both with it (--pdeathsig).
start_machine() {
    local initramfs arguments stdio
    initramfs=$("$EXO_TOP/tools/vm/make-initramfs" "$kernel" "$release")
    make_drives
    make_more_drives
    arguments=(
        -name exo -nodefaults -no-user-config -no-reboot -display none -monitor none
        -machine q35 "${accel[@]}" -smp "$cpus" -m "$memory"
        -kernel "$image" -initrd "$initramfs" -append "$(kernel_command_line)"
        -virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
        -device virtio-rng-pci
        -chardev "file,id=klog,path=$run/kernel.log" -serial chardev:klog
        -device virtio-serial-pci
        -chardev "file,id=control,path=$run/control,append=on"
        -device "virtserialport,chardev=control,name=exo.control"
        "${qemu_drives[@]}" "${extra_devices[@]}"
    )
    if [ -n "$share" ]; then
        arguments+=(-virtfs "local,path=$share,mount_tag=share,security_model=none,multidevs=remap")
    fi
    if [ "$mode" = shell ]; then
        arguments+=(-chardev "stdio,id=tty,signal=off" -device "virtconsole,chardev=tty")
        exec {stdio}<&0
    else
        # Two pipes keep the command's stdout and stderr apart; cat makes any kind of file write-only,
        # as QEMU wants it.
        exec {out}> >(exec cat)
        out_reader=$!
        exec {err}> >(exec cat >&2)
        err_reader=$!
        arguments+=(
            -add-fd "fd=$out,set=1" -chardev "file,id=out,path=/dev/fdset/1,append=on"
            -add-fd "fd=$err,set=2" -chardev "file,id=err,path=/dev/fdset/2,append=on"
            -device "virtserialport,chardev=out,name=exo.out"
            -device "virtserialport,chardev=err,name=exo.err"
        )
        exec {stdio}</dev/null
    fi
    : >"$run/kernel.log"
    # shellcheck disable=SC2016  # for the inner shell
    setpriv --pdeathsig KILL bash -c '
        trap "" INT
        control=$1 pid=$2
        shift 2
        status=0
        setpriv --pdeathsig KILL qemu-system-x86_64 -pidfile "$pid" "$@" || status=$?
        echo "gone $status" >"$control"
    ' qemu "$run/control" "$run/pid" "${arguments[@]}" <&"$stdio" 2>"$run/qemu.err" &
    machine=$!
}

# Kills QEMU if it still runs, and waits until all its output has been written.
stop_machine() {
    [ -n "${machine:-}" ] || return 0
    # Stopped right after its start, QEMU has not written its number yet; without it, nothing would
    # end the machine before its command does.
    for _ in $(seq 100); do
        if [ -s "$run/pid" ] || ! kill -0 "$machine" 2>/dev/null; then
            break
        fi
        sleep 0.05
    done
    if [ -s "$run/pid" ]; then
        kill -KILL "$(cat "$run/pid")" 2>/dev/null || true
    else
        kill -KILL "$machine" 2>/dev/null || true
    fi
    wait "$machine" 2>/dev/null || true
    machine=
    if [ -n "${out_reader:-}" ]; then
        exec {out}>&- {err}>&-
        wait "$out_reader" "$err_reader" 2>/dev/null || true
        out_reader=
    fi
}
