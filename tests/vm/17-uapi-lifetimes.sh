#!/bin/bash
# SPDX-License-Identifier: MIT
# The drive is reset, loses its driver, is removed, comes back and stops answering, CPUs go and come, all while
# dozens of traversals of every kind are in flight: each has a definite end in bounded time, and nothing is left.
# time-limit: 600
. "$EXO_TOP/tests/vm/lib.sh"

need_module
modprobe fuse
EXO_TEST_DEVICE=$SECOND_DRIVE EXO_TEST_LIFETIMES=1 "$EXO_BUILD/tests/uapi/exo_uapi_test" -ts=lifetimes
# Back under its own name, for the tests to come.
wait_until 10 test -b "$SECOND_DRIVE"
unload_module_check
