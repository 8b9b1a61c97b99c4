#!/bin/bash
# SPDX-License-Identifier: MIT
# The module's interface on the NVMe drive: arguments, grants, traversals, programs, races, listings.
# time-limit: 900
. "$EXO_TOP/tests/vm/lib.sh"

need_module
modprobe fuse
EXO_TEST_OTHER_DEVICE=$SECOND_DRIVE "$EXO_BUILD/tests/uapi/exo_uapi_test"
unload_module_check
