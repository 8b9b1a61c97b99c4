#!/bin/bash
# SPDX-License-Identifier: MIT
# Devices that exo cannot serve: each is refused for its own reason, which the interface, the kernel log and mount tell.
. "$EXO_TOP/tests/vm/lib.sh"
. "$EXO_TOP/tests/vm/devices/lib.sh"

need_module
need_commands mkfs.exo mount.exo
modprobe fuse

# refused REASON LOG_REGEX: $device, by the module
refused() {
    local log
    EXO_TEST_REFUSED=$1 uapi -tc="a device that cannot serve*"
    log=$(dmesg | tail -n 20)
    grep -qE "exo: cannot attach ${device##*/}: $2" <<<"$log" || die "the kernel log does not say '$2', but: $log"
}

# mount_refused MESSAGE_REGEX [MKFS_OPTION...]: an exo file system on $device, by the module; without it, it mounts
mount_refused() {
    local output status=0
    mkfs.exo "${@:2}" "$device" >/dev/null
    output=$(mount -t exo "$device" $MNT 2>&1) || status=$?
    [ "$status" -ne 0 ] || die "$device was mounted"
    expect_equal "$(wc -l <<<"$output")" 1 "lines printed by mount"
    grep -qE "cannot attach $device, which $1.*; or mount with -o nokernel" <<<"$output" ||
        die "mount does not say '$1', but: $output"
    mount -t exo -o nokernel "$device" $MNT
    umount $MNT
}

mkdir -p $MNT
step "protection information"
drive_of extra0
refused 2 "it keeps integrity data"
mount_refused "keeps integrity data with each block: format it without"

step "metadata that is none"
drive_of extra1
refused 2 "it keeps integrity data"

step "blocks of 8192 bytes, which Linux itself gives no size"
drive_of extra2
refused 5 "it has no blocks"
expect_fail "." mount -t exo "$device" $MNT

step "zoned"
modprobe null_blk nr_devices=0
config=/sys/kernel/config/nullb
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
mkdir $config/nullb0
for setting in size=64 blocksize=512 zoned=1 zone_size=4 zone_nr_conv=15 memory_backed=1 power=1; do
    echo "${setting#*=}" >"$config/nullb0/${setting%%=*}"
done
device=/dev/nullb0
wait_until 5 test -b $device
refused 1 "it is zoned"
# The last zone, at least, takes no random writes.
mount_refused "is zoned" --size 56M
echo 0 >$config/nullb0/power
rmdir $config/nullb0
unload_module_check
