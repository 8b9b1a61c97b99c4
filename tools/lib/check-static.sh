# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The stages of tools/check that read the sources and run nothing of them: shell, format, sparse,
# checkpatch, tidy. Each prints what is wrong and fails when there is any.
# shellcheck disable=SC2154  # build and fix are set in tools/check

cxx_folders=(fs libexo tools tests)

# source_files FIND_EXPRESSION...: files below the folders of C++ that exist.
source_files() {
    local folder folders=()
    for folder in "${cxx_folders[@]}"; do
        if [ -d "$EXO_TOP/$folder" ]; then
            folders+=("$EXO_TOP/$folder")
        fi
    done
    find "${folders[@]}" -type f \( "$@" \) | sort
}

# Scripts are what says so in its first line, with or without a suffix.
stage_shell() {
    local scripts
    mapfile -t scripts < <(find "$EXO_TOP"/{tools,tests,.ci} -type f -size -200k \
        -exec awk 'FNR > 3 { nextfile }
            FNR == 1 && /^#!.*(bash|sh)$/ || /^# shellcheck shell=/ { print FILENAME; nextfile }' {} +)
    cd "$EXO_TOP" || return
    shellcheck -x "${scripts[@]}"
    # With pipefail a pipe fails, now and then, when its reader leaves before the writer is done.
    if grep -nE '[|] *(grep -[a-zA-Z]*[qm]|head )' "${scripts[@]}" | grep -v 'grep -nE'; then
        echo "the readers of these pipes may leave early: read all (sed -n 1p), or a file, or <<<"
        return 1
    fi
}

stage_format() {
    local files places
    # tests/bpf and the module of tests/bench have the kernel's style.
    mapfile -t files < <(source_files -name '*.cc' -o -name '*.h' -o -name '*.hpp' |
        grep -vE "^$EXO_TOP/tests/(bpf|bench/floor)/")
    if [ ${#files[@]} = 0 ]; then
        nothing_to_do
        return
    fi
    if [ -n "$fix" ]; then
        clang-format-19 -i "${files[@]}"
    fi
    # One line per file is enough; --fix mends it.
    places=$(clang-format-19 --dry-run "${files[@]}" 2>&1 | grep -E '^/.*: warning:' |
        sed "s|^$EXO_TOP/||" | awk -F: '{ lines[$1] = lines[$1] " " $2 } END {
            for (file in lines) print file ": lines" lines[file]
        }' | cut -c1-160 | sort) || true
    if [ -n "$places" ]; then
        printf '%s\n' "$places" "tools/check --fix format mends this"
        return 1
    fi
}

# struct_names FILE [BPFTOOL_OPTION...]: the structures and unions in its type information
struct_names() {
    local file=$1
    shift
    bpftool "$@" btf dump file "$file" | sed -nE "s/^\[[0-9]+\] (STRUCT|UNION) '([a-z].*)' .*/\2/p" | sort -u
}

# Where a file's own structure has the name of one in the kernel, all types that lead to it exist twice in the
# module's type information, and the type of programs may be among them: then the module does not load.
check_struct_names() { # MODULE HEADERS
    local both
    both=$(comm -12 <(struct_names "$1" -B "$2/vmlinux") <(struct_names "$2/vmlinux"))
    if [ -n "$both" ]; then
        echo "the kernel has structures of these names, too; rename them: $both"
        return 1
    fi
}

# A second build of the module, of its own, with the kernel's extra warnings and sparse on every
# file. What they say about the kernel's headers is not ours to mend.
stage_sparse() {
    local headers output=$build/kmod-sparse
    if [ ! -e "$EXO_TOP/kmod/Kbuild" ]; then
        nothing_to_do
        return
    fi
    headers=$(kernel_headers '') || die "no kernel headers in $EXO_CACHE; run tools/setup"
    rm -rf "$output"
    (build_module "$EXO_TOP/kmod" "$output" "$headers" "$(nproc)" C=2 W=1 CF=-D__CHECK_ENDIAN__) \
        2>/dev/null || {
        grep -E 'error|\*\*\*' "$output/build.log"
        return 1
    }
    if grep -E '(warning|error):|^WARNING' "$output/build.log" | grep -v '/linux-headers-'; then
        return 1
    fi
    check_struct_names "$output/exo.ko" "$headers"
}

# Left out, each with its reason:
#   FILE_PATH_CHANGES, LINUX_VERSION_CODE  about patches to the kernel's own tree
#   CONST_STRUCT, SPDX_LICENSE_TAG         want a kernel tree around them
#   AVOID_EXTERNS, VOLATILE, NEW_TYPEDEFS  BPF programs declare kfuncs and share memory
#   COMPLEX_MACRO, MACRO_*                 BPF headers wrap declarations and loops, as libbpf's do
checkpatch_ignored=FILE_PATH_CHANGES,LINUX_VERSION_CODE,CONST_STRUCT,SPDX_LICENSE_TAG
checkpatch_ignored_bpf=$checkpatch_ignored,AVOID_EXTERNS,VOLATILE,NEW_TYPEDEFS
checkpatch_ignored_bpf+=,COMPLEX_MACRO,MACRO_WITH_FLOW_CONTROL,MACRO_ARG_UNUSED,MACRO_ARG_REUSE

stage_checkpatch() {
    local status=0 kernel_files bpf_files
    mapfile -t kernel_files < <(cd "$EXO_TOP" && find kmod tests/bench/floor -name '*.[ch]' ! -name '*.mod.c' 2>/dev/null | sort)
    mapfile -t bpf_files < <(cd "$EXO_TOP" && find bpf tests/bpf -name '*.[ch]' 2>/dev/null | sort)
    if [ ${#kernel_files[@]} = 0 ] && [ ${#bpf_files[@]} = 0 ]; then
        nothing_to_do
        return
    fi
    checkpatch_is_here || die "no checkpatch.pl in $EXO_CACHE; run tools/setup"
    cd "$EXO_TOP" || return
    checkpatch "$checkpatch_ignored" "${kernel_files[@]}" || status=1
    checkpatch "$checkpatch_ignored_bpf" "${bpf_files[@]}" || status=1
    return "$status"
}

checkpatch() { # IGNORED FILE...
    local ignored=$1
    shift
    [ $# -gt 0 ] || return 0
    perl "$(checkpatch_path)" --no-tree --no-summary --terse --show-types --max-line-length=100 \
        --ignore "$ignored" -f "$@"
}

# clang-tidy is slow, so a file's good result is kept in the cache under the hash of all it is made
# of: itself, the headers of this tree it includes, the settings and the tool.
stage_tidy() {
    local files
    [ -e "$build/compile_commands.json" ] || die "no compile_commands.json in $build; run tools/build"
    mapfile -t files < <(sed -n 's/^ *"file": "\(.*\.cc\)".*/\1/p' "$build/compile_commands.json" |
        grep -E "^$EXO_TOP/(fs|libexo|tools)/" | sort -u)
    if [ ${#files[@]} = 0 ]; then
        nothing_to_do
        return
    fi
    mkdir -p "$EXO_CACHE/tidy"
    find "$EXO_CACHE/tidy" -type f -mtime +30 -delete
    export EXO_TOP EXO_CACHE build
    export -f tidy_one tidy_key
    # shellcheck disable=SC2016  # for the inner shell
    printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'tidy_one "$1"' tidy
}

tidy_key() { # FILE
    local command
    command=$(sed -n "s|^ *\"command\": \"\(.*\) -o [^ ]* -c $1\",*\$|\1|p" "$build/compile_commands.json" |
        head -n 1)
    {
        clang-tidy-19 --version
        cat "$EXO_TOP/.clang-tidy"
        # Every file of this tree that the compiler reads for it; should it fail, no key fits twice.
        (cd "$build" && eval "${command//\\\"/\"} -MM '$1'" || echo "$EXO_TOP/?") | tr ' ' '\n' |
            grep -F "$EXO_TOP/" | sort -u | xargs -r cat || date +%N
    } 2>/dev/null | sha256sum | cut -d' ' -f1
}

tidy_one() { # FILE
    local good
    good=$EXO_CACHE/tidy/$(tidy_key "$1")
    if [ -e "$good" ]; then
        return 0
    fi
    echo "${1#"$EXO_TOP/"}"
    clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*' "$1" 2>"$good.err.$$" || {
        cat "$good.err.$$"
        rm -f "$good.err.$$"
        return 1
    }
    rm -f "$good.err.$$"
    touch "$good"
}
