# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Running the demo on this machine's own kernel and a real drive: what must hold before anything is
# written, and loading the module around the steps. Needs common.sh.

# Traversals need what Linux 6.12 brought; the module would refuse, but this says it before the build.
check_native_machine() {
    local release major minor
    release=$(uname -r)
    IFS=.- read -r major minor _ <<<"$release"
    if [ "$major" -lt 6 ] || { [ "$major" = 6 ] && [ "${minor%%[!0-9]*}" -lt 12 ]; }; then
        die "this kernel is Linux $release; exo.ko needs 6.12 or newer (without --native the demo runs in a virtual machine)"
    fi
    [ "$(id -u)" = 0 ] || die "--native loads a kernel module and mounts a drive: run it as root"
    [ -e "/lib/modules/$release/build/Makefile" ] ||
        die "the headers of Linux $release are not installed: apt-get install linux-headers-$release"
    [ -e /sys/kernel/btf/vmlinux ] ||
        die "this kernel has no BTF (/sys/kernel/btf/vmlinux), which BPF programs of a module need"
    [ -e /proc/modules ] || die "this kernel cannot load modules"
}

# Only a whole, idle block device with a hardware queue will do.
check_native_device() { # DEVICE
    local device=$1 name path used
    [ -b "$device" ] || die "$device is not a block device"
    name=$(basename "$(readlink -f -- "$device")")
    path=/sys/class/block/$name
    [ -e "$path" ] || die "$device: the kernel does not know a block device $name"
    used=$(lsblk -nro MOUNTPOINTS -- "$device" | awk NF)
    if [ -n "$used" ]; then
        die "$device is mounted or in use as swap (${used%%$'\n'*}); unmount it first"
    fi
    if [ "$(lsblk -nro NAME -- "$device" | wc -l)" -gt 1 ]; then
        die "$device has partitions; name one of them, or wipe the table first (wipefs -a $device)"
    fi
    if [ -n "$(ls -A "$path/holders" 2>/dev/null)" ]; then
        die "$device is held by $(find "$path/holders" -mindepth 1 -printf "%f " -quit) (device mapper, md or the like)"
    fi
    if [ ! -e "$path/partition" ] && [ ! -d "$path/mq" ]; then
        die "$device has no hardware queue of its own: an NVMe multipath head? Boot with nvme_core.multipath=0"
    fi
}

# The answer must be the device's name: nobody types that by mistake.
ask_before_writing() { # DEVICE
    local answer
    echo "Everything on $1 will be lost:"
    lsblk -o NAME,SIZE,MODEL,FSTYPE,LABEL -- "$1" | sed 's/^/    /'
    [ -t 0 ] || die "there is nobody to ask; give --yes if you mean it"
    read -r -p "Type $1 to go on: " answer
    [ "$answer" = "$1" ] || die "left everything as it was"
}

# run_native BUILD SCRIPT DEVICE: SCRIPT with exo.ko loaded and exo's commands where mount(8) and the
# shell find them, as they are in the virtual machine.
run_native() {
    local build=$1 script=$2 device=$3 status=0 loaded='' helper helpers=()
    if [ ! -d /sys/module/exo ]; then
        insmod "$build/kmod/exo.ko" || die "exo.ko could not be loaded: see dmesg"
        loaded=yes
    fi
    for helper in mount.exo umount.fuse.exo; do
        if [ ! -e "/sbin/$helper" ]; then
            ln -s "$build/bin/exo" "/sbin/$helper"
            helpers+=("/sbin/$helper")
        fi
    done
    EXO_BUILD=$build PATH=$build/bin:$PATH bash "$script" "$device" || status=$?
    [ ${#helpers[@]} = 0 ] || rm -f "${helpers[@]}"
    if [ -n "$loaded" ]; then
        rmmod exo || status=1
    fi
    return "$status"
}
