#!/bin/bash
# SPDX-License-Identifier: MIT
# virtio-blk: reads are reissued where the one before completed.
# time-limit: 400
. "$EXO_TOP/tests/vm/lib.sh"
. "$EXO_TOP/tests/vm/devices/lib.sh"

need_module
modprobe fuse
modprobe -q virtio_blk || true
device=/dev/vda
[ -b "$device" ] || skip "there is no $device; this is for tests/vm/devices/run"
uapi -ts=traversal,fan-out,reads,batch,uring,closing
grep -qE '"issued_direct": [1-9]' <<<"$(exo --json stats)" || die "no read was reissued at a completion"
unload_module_check
