#!/bin/bash
# SPDX-License-Identifier: MIT
# Fails in the middle, by a command that nobody checks.
. "$EXO_TOP/tests/vm/lib.sh"
echo "output of a failing test"
false
echo "never said"
