#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Unpacks and builds a C++ project on the mount, and the same beside it: every product is the same,
# before and after a remount, and the programs built there run.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/workloads/source.sh
. "$(dirname "$0")/source.sh"

need cmake cmake
archive=$(fetch_source) || skip "the source package taglib cannot be fetched (see $EXO_CACHE/source/fetch.log)"
new_volume 1G

step "unpack"
for place in "$mnt" "$work"; do
    mkdir "$place/tree"
    tar xf "$archive" -C "$place/tree" --strip-components=1
done
diff -r "$work/tree" "$mnt/tree" || fail "the unpacked trees differ"
sources=$(find "$mnt/tree" -name '*.cpp' -o -name '*.h' -o -name '*.tcc' | wc -l)
[ "$sources" -ge 200 ] || fail "only $sources source files"

step "build $sources source files on the mount"
configure_source "$mnt/tree" "$mnt/build"
cmake --build "$mnt/build" -j2 >"$work/build.log" 2>&1 || {
    tail -n 20 "$work/build.log"
    fail "the build on the mount failed"
}
step "build them beside it"
configure_source "$work/tree" "$work/build"
cmake --build "$work/build" -j2 >"$work/build.log" 2>&1 || fail "the build beside the mount failed"

step "compare"
products "$work/build" >"$work/wanted"
products "$mnt/build" >"$work/found"
[ "$(wc -l <"$work/wanted")" -ge 100 ] || fail "the build made too little"
diff "$work/wanted" "$work/found" || fail "what was built on the mount differs"
"$mnt/build/examples/tagreader" "$mnt"/tree/tests/data/*.mp3 >"$work/tags-mount" 2>&1
"$work/build/examples/tagreader" "$work"/tree/tests/data/*.mp3 >"$work/tags" 2>&1
diff <(sed "s:$work::" "$work/tags") <(sed "s:$mnt::" "$work/tags-mount") ||
    fail "the program built on the mount gives other results"

step "remount and compare again"
remount_volume
products "$mnt/build" | diff "$work/wanted" - || fail "what was built changed by the remount"
diff -r "$work/tree" "$mnt/tree" || fail "the tree changed by the remount"
cmake --build "$mnt/build" >"$work/again.log"
! grep -E 'Building|Linking' "$work/again.log" || fail "make builds again after a remount: times changed"
unmount_volume
step "done: $(wc -l <"$work/wanted") products of $sources source files are the same"
