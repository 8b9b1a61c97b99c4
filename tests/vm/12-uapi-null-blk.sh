#!/bin/bash
# SPDX-License-Identifier: MIT
# Drivers that complete inside the submission, in a softirq and in a timer interrupt; that sleep while they
# issue; that fail reads; that have no poll queues; that have no hardware queue at all; and devices that must
# be refused.
# time-limit: 900
. "$EXO_TOP/tests/vm/lib.sh"

need_module
need_commands losetup dmsetup
modprobe fuse
modprobe null_blk nr_devices=0
config=/sys/kernel/config/nullb
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config

# null_device NAME ATTRIBUTE=VALUE...: makes a device and sets $device
null_device() {
    local name=$1 setting
    shift
    mkdir "$config/$name"
    for setting in size=64 blocksize=512 "$@"; do
        echo "${setting#*=}" >"$config/$name/${setting%%=*}"
    done
    echo 1 >"$config/$name/power"
    device=/dev/$name
    wait_until 5 test -b "$device"
}

remove_null_device() {
    echo 0 >"$config/$1/power"
    rmdir "$config/$1"
}

uapi() {
    EXO_TEST_DEVICE=$device EXO_TEST_ROUNDS=${EXO_TEST_ROUNDS:-10} EXO_TEST_READS=${EXO_TEST_READS:-$((2000 / EXO_TIME_SCALE))} \
        "$EXO_BUILD/tests/uapi/exo_uapi_test" "$@"
}

# Tests that do not care what the blocks hold.
dataless="every read*,verdicts,results are*,hop limits*,an endless*,a program's start*,block statistics*"
dataless+=",many more*,endless trav*,opening\, closing*,two revokers*,killed*,the volume's fd*,detaching*,polled*"

for irqmode in 0 1 2; do
    step "no memory behind it, irqmode $irqmode"
    null_device nullb0 irqmode=$irqmode completion_nsec=20000
    uapi -tc="$dataless"
    remove_null_device nullb0

    step "memory behind it, so the driver may sleep, irqmode $irqmode"
    null_device nullb0 irqmode=$irqmode completion_nsec=20000 memory_backed=1
    # Of the rest, it makes no difference when the device completes; nor of a crowd of threads, what device it is.
    uapi -ts=traversal,batch,uring,races -tce="whoever hammers*"
    [ $irqmode != 2 ] || uapi -ts=reads,grants,ring-care
    remove_null_device nullb0
done

step "4 KiB blocks"
null_device nullb0 irqmode=2 blocksize=4096 memory_backed=1
uapi -ts=arguments,traversal,reads,batch,uring -tce="bytes behind*,every read*,a program's start*"
remove_null_device nullb0

step "poll queues"
null_device nullb0 irqmode=2 submit_queues=2 poll_queues=1
uapi -tc="polled*,killed*"
remove_null_device nullb0

step "one hardware queue, little room in it, a scheduler"
null_device nullb0 irqmode=2 submit_queues=1 hw_queue_depth=2
for scheduler in mq-deadline none; do
    echo $scheduler >/sys/block/nullb0/queue/scheduler
    uapi -tc="$dataless"
done

step "the same queue while it is frozen again and again"
uapi -tc="many more*,two revokers*,killed*" &
load=$!
freezes=0
while kill -0 $load 2>/dev/null; do
    for scheduler in mq-deadline none; do
        # Each change waits until every request has been given back.
        timeout 20 bash -c "echo $scheduler >/sys/block/nullb0/queue/scheduler" ||
            die "the queue could not be frozen under load"
        freezes=$((freezes + 1))
    done
    sleep 0.05
done
wait $load
echo "$freezes freezes"
[ "$freezes" -ge 2 ] || die "only $freezes freezes happened under load"
remove_null_device nullb0

step "workers of a volume whose device is slow are not those of another"
null_device nullb0 irqmode=2 submit_queues=1 hw_queue_depth=8 completion_nsec=60000000
slow=$device
device=$DRIVE
EXO_TEST_SLOW_DEVICE=$slow uapi -tc="workers that wait*"
remove_null_device nullb0

step "a bad block"
null_device nullb0 irqmode=2
echo "+2048-2055" >"$config/nullb0/badblocks"
EXO_TEST_BAD_OFFSET=$((2048 * 512)) uapi -tc="a read that the device fails*"
remove_null_device nullb0

step "a device that takes long to open"
null_device nullb0 irqmode=2 completion_nsec=3000000000
EXO_TEST_STUCK_DEVICE=$device "$EXO_BUILD/tests/uapi/exo_uapi_test" -tc="a device whose opening*"
remove_null_device nullb0

step "loop, whose driver takes locks that only process context may: never issued in an interrupt"
modprobe loop
truncate -s 64M /tmp/loop.img
device=$(losetup --find --show /tmp/loop.img)
EXO_TEST_NEVER_DIRECT=1 uapi -tc="a chain*,many more*,killed*"
uapi -ts=fan-out,sets,reads,ring-care,closing

step "dispatch only: request-based device mapper, here on that loop device"
modprobe -a dm-multipath dm-round-robin
dmsetup create --noudevsync exo_stacked --table \
    "0 131072 multipath 2 queue_mode mq 0 1 1 round-robin 0 1 1 $device 1"
loop=$device
device=/dev/dm-$(dmsetup info -c --noheadings -o minor exo_stacked)
wait_until 5 test -b "$device"
EXO_TEST_DISPATCH_ONLY=1 uapi -ts=fan-out,sets
dmsetup remove --noudevsync exo_stacked
losetup --detach "$loop"

step "refused: zoned"
null_device nullb0 zoned=1 zone_size=4 memory_backed=1
EXO_TEST_REFUSED=1 uapi -tc="a device that cannot serve*"
[[ $(dmesg | tail -n 20) == *"cannot attach nullb0: it is zoned"* ]] || die "the kernel log does not say why"
remove_null_device nullb0

step "dispatch only: no blk-mq queue, completes inside the submission"
modprobe brd rd_nr=1 rd_size=65536
device=/dev/ram0
EXO_TEST_DISPATCH_ONLY=1 uapi -ts=traversal,fan-out,sets,reads,batch,uring,ring-care,ring-many,races,grants,derive \
    -tce="whoever hammers*"

step "a set over that device and one with hardware queues"
other=$device
null_device nullb0 irqmode=2 completion_nsec=20000 memory_backed=1
EXO_TEST_OTHER_DEVICE=$other EXO_TEST_OTHER_DISPATCH_ONLY=1 uapi -tc="a set over two devices*"
remove_null_device nullb0

md_on_two_devices() {
    local md=/sys/block/md_exo/md part
    null_device nullb0 irqmode=2 memory_backed=1
    null_device nullb1 irqmode=2 memory_backed=1
    echo md_exo >/sys/module/md_mod/parameters/new_array
    wait_until 5 test -d $md
    echo none >$md/metadata_version
    echo raid0 >$md/level
    echo 2 >$md/raid_disks
    echo 65536 >$md/chunk_size
    for part in 0 1; do
        cat /sys/block/nullb$part/dev >$md/new_dev
        echo $((64 * 1024)) >$md/dev-nullb$part/size
        echo $part >$md/dev-nullb$part/slot
    done
    echo active >$md/array_state
    device=/dev/md_exo
    wait_until 5 test -b "$device"
    EXO_TEST_DISPATCH_ONLY=1 uapi -ts=traversal,fan-out,reads,batch,uring,closing
    echo clear >$md/array_state
    remove_null_device nullb0
    remove_null_device nullb1
}

step "dispatch only: md, two devices as one"
modprobe raid0
md_on_two_devices

step "dispatch only: a bad block"
dmsetup create --noudevsync exo_bad <<'EOF'
0 2048 linear /dev/ram0 0
2048 8 error
2056 63480 linear /dev/ram0 2056
EOF
device=/dev/dm-$(dmsetup info -c --noheadings -o minor exo_bad)
wait_until 5 test -b "$device"
EXO_TEST_DISPATCH_ONLY=1 EXO_TEST_BAD_OFFSET=$((2048 * 512)) uapi -tc="a read that the device fails*"
dmsetup remove --noudevsync exo_bad

step "dispatch only: device mapper over a device that completes in a timer interrupt"
null_device nullb0 irqmode=2 completion_nsec=20000
dmsetup create --noudevsync exo_linear --table "0 131072 linear $device 0"
device=/dev/dm-$(dmsetup info -c --noheadings -o minor exo_linear)
wait_until 5 test -b "$device"
EXO_TEST_DISPATCH_ONLY=1 uapi -tc="only dispatch*,$dataless"
dmsetup remove --noudevsync exo_linear
remove_null_device nullb0

step "dispatch only: device mapper that stops answering for a while"
null_device nullb0 irqmode=2 completion_nsec=1000000
dmsetup create --noudevsync exo_suspended --table "0 131072 linear $device 0"
device=/dev/dm-$(dmsetup info -c --noheadings -o minor exo_suspended)
wait_until 5 test -b "$device"
EXO_TEST_DISPATCH_ONLY=1 EXO_TEST_SUSPEND=exo_suspended uapi -ts=drain
dmsetup remove --noudevsync exo_suspended
remove_null_device nullb0

unload_module_check
