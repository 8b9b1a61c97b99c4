#!/bin/bash
# SPDX-License-Identifier: MIT
# The symbols that libexo.so exports, those listed in libexo.map and the functions that exo.h declares
# are the same. Usage: symbols.sh LIBRARY MAP HEADER
set -euo pipefail
library=$1 map=$2 header=$3

exported() { nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u; }
listed() { sed -n '/global:/,/local:/p' "$map" | grep -oE 'exo_[a-z_0-9]+' | sort -u; }
declared() {
    # Without comments; a function is a name of ours before a parenthesis.
    sed -e 's@/\*.*\*/@@' -e '/\/\*/,/\*\//d' "$header" |
        grep -oE '\bexo_(last_error[a-z_]*|[a-z_]+__[a-z_]+)\(' | tr -d '(' | sort -u
}

status=0
compare() { # WHAT_A A WHAT_B B
    diff <(echo "$2") <(echo "$4") >/tmp/abi.$$ || {
        echo "$1 (<) and $3 (>) differ:"
        grep '^[<>]' /tmp/abi.$$
        status=1
    }
    rm -f /tmp/abi.$$
}
[ -n "$(exported)" ] || { echo "$library exports nothing"; exit 1; }
compare "$library" "$(exported)" "$map" "$(listed)"
compare "$header" "$(declared)" "$map" "$(listed)"
exit $status
