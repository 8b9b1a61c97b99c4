#!/bin/bash
# SPDX-License-Identifier: MIT
# An NVMe multipath head has no hardware queue: it is served by dispatch, and auto chooses that and says why.
# time-limit: 400
. "$EXO_TOP/tests/vm/lib.sh"
. "$EXO_TOP/tests/vm/devices/lib.sh"

need_module
modprobe fuse
drive_of exo0
[ ! -e "/sys/block/${device##*/}/mq" ] || die "$device is not a multipath head"
EXO_TEST_DISPATCH_ONLY=1 uapi -ts=traversal,fan-out,sets,reads,batch,uring,derive,closing
unload_module_check
