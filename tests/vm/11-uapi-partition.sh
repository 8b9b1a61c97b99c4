#!/bin/bash
# SPDX-License-Identifier: MIT
# A partition is a volume of its own: what is read begins at its start.
# time-limit: 120
. "$EXO_TOP/tests/vm/lib.sh"

need_module
need_commands addpart delpart
modprobe fuse
# Something else where the disk begins, so that a missed start shows.
dd if=/dev/urandom of="$SECOND_DRIVE" bs=1M count=4 status=none
addpart "$SECOND_DRIVE" 1 20480 65536
wait_until 5 test -b "${SECOND_DRIVE}p1"
EXO_TEST_DEVICE=${SECOND_DRIVE}p1 "$EXO_BUILD/tests/uapi/exo_uapi_test" -ts=traversal
delpart "$SECOND_DRIVE" 1
unload_module_check
