#!/bin/bash
# SPDX-License-Identifier: MIT
# Skips with a reason; also finds the child of 03-times-out gone.
. "$EXO_TOP/tests/vm/lib.sh"
if pgrep -x sleep; then
    die "a process of an earlier test is still there"
fi
skip "because it wants to"
