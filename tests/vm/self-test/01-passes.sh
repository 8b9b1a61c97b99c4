#!/bin/bash
# SPDX-License-Identifier: MIT
# Passes: the helpers of lib.sh do what they say.
. "$EXO_TOP/tests/vm/lib.sh"
expect_fail 'No such file' ls /nowhere
expect_equal 1 1 "one"
if (expect_fail 'something else' ls /nowhere) 2>/dev/null; then
    die "expect_fail took a wrong message"
fi
if (expect_fail '' true) 2>/dev/null; then
    die "expect_fail took a success"
fi
if (expect_fail '' bash -c 'kill -SEGV $$') 2>/dev/null; then
    die "expect_fail took a crash"
fi
if as_nobody cat /etc/shadow 2>/dev/null; then
    die "as_nobody may read /etc/shadow"
fi
[ -b "$DRIVE" ] || die "there is no $DRIVE"
