#!/bin/bash
# SPDX-License-Identifier: MIT
# Random calls of every kind by several processes, killed at any time: all that counts is that the kernel has
# nothing to say about it, and that nothing is left. Longer: tools/vm/run --script THIS SECONDS [SEED]
# time-limit: 240
. "$EXO_TOP/tests/vm/lib.sh"

need_module
modprobe fuse
export EXO_TEST_DEVICE=$SECOND_DRIVE
"$EXO_BUILD/tests/uapi/exo_uapi_fuzz" --seconds "${1:-8}" ${2:+--seed "$2"}
unload_module_check
