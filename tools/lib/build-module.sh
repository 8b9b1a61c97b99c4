# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Builds exo.ko, or a module of the tests, outside the source tree. Kbuild of Linux 6.12 writes its
# results beside the sources, so it is given a mirror of the folder made of links. Needs common.sh.

# mirror_sources FROM TO: every source file of FROM as a link in TO, in real folders; links whose
# source has gone are removed.
mirror_sources() {
    local from=$1 to=$2 file
    find "$from" -type f \( -name '*.[chS]' -o -name Kbuild -o -name 'Kconfig*' -o -name 'Makefile*' \) \
        ! -name '*.mod.c' -printf '%P\n' |
        while read -r file; do
            [ "$to/$file" -ef "$from/$file" ] && continue
            mkdir -p "$(dirname "$to/$file")"
            ln -sfn "$from/$file" "$to/$file"
        done
    find "$to" -xtype l -delete
}

# build_module SOURCE OUTPUT HEADERS JOBS [MAKE_ARGUMENT...]: a warning is an error, as in all of our code.
build_module() {
    local source=$1 output=$2 headers=$3 jobs=$4 log name
    shift 4
    name=$(sed -n 's/^obj-m += \(.*\)\.o$/\1.ko/p' "$source/Kbuild")
    mkdir -p "$output"
    mirror_sources "$source" "$output"
    log=$output/build.log
    # Kbuild prints much that is no news; a warning or an error is shown.
    if ! make -C "$headers" M="$output" -j "$jobs" modules KCFLAGS=-Werror "$@" >"$log" 2>&1; then
        grep -vE '^(make: (Entering|Leaving)|  (CC|LD|MODPOST|BTF|CHECK) )' "$log" >&2 || true
        die "$name could not be built against $headers (whole output: $log)"
    fi
    grep -E 'warning|Skipping BTF' "$log" >&2 || true
    [ -e "$output/$name" ] || die "Kbuild made no $name in $output (see $log)"
}
