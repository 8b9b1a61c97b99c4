# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What every script in tools/ shares: where things are, how a failure is said, how time is told.
# Sourced, never run. Sets EXO_TOP (the source tree) and EXO_CACHE (kernels and other downloads).

EXO_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
EXO_CACHE=${EXO_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/exo}
# Both are used by the scripts that source this.
export EXO_TOP EXO_CACHE

# die MESSAGE...: one line on stderr, then exit 1.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

note() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# The clock in milliseconds, and a span of them as "12.3 s".
now_ms() {
    local t=${EPOCHREALTIME/[.,]/}
    echo "${t%???}"
}

seconds() {
    printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100))
}

# need_arg OPTION COUNT: fails when an option's argument is missing (COUNT is $# at the option).
need_arg() {
    [ "$2" -ge 2 ] || die "option $1 needs an argument (see --help)"
}

# The opening comment of a script is its help text.
print_help() {
    sed -n '3,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"
}
