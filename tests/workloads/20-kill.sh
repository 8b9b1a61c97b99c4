#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Kills the daemon in the middle of a build, while commits are made in a repository on the same
# mount: after each kill the volume is sound, git finds nothing wrong, every commit that was synced
# is there, and the build goes on to a good end.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/workloads/source.sh
. "$(dirname "$0")/source.sh"

need cmake cmake
need git git
archive=$(fetch_source) || skip "the source package taglib cannot be fetched (see $EXO_CACHE/source/fetch.log)"
new_volume 1G
rounds=3
[ -z "$long" ] || rounds=15

export GIT_AUTHOR_NAME=exo GIT_AUTHOR_EMAIL=exo@localhost GIT_COMMITTER_NAME=exo \
    GIT_COMMITTER_EMAIL=exo@localhost GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
# git syncs what it writes only when told to.
repo=(git -C "$mnt/repo" -c core.fsync=all -c core.fsyncMethod=fsync -c gc.auto=0)

step "unpack, and commit the tree to a repository on the mount"
mkdir "$mnt/tree"
tar xf "$archive" -C "$mnt/tree" --strip-components=1
git init -q "$mnt/repo"
cp -r "$mnt/tree/taglib" "$mnt/repo/"
"${repo[@]}" add -A
"${repo[@]}" commit -qm first
configure_source "$mnt/tree" "$mnt/build"
"${repo[@]}" rev-parse HEAD >"$work/head"

# Commits without end; each is noted outside of the mount when git says that it is done.
commit_on() {
    local n=0
    while :; do
        n=$((n + 1))
        echo "$RANDOM $n" >>"$mnt/repo/taglib/CMakeLists.txt"
        date +%N >"$mnt/repo/file$((n % 50))"
        "${repo[@]}" add -A || return 0
        "${repo[@]}" commit -qm "commit $n" || return 0
        # git syncs its files but not the rename that gives a branch its new tip.
        sync "$mnt/repo/.git/refs/heads" || return 0
        "${repo[@]}" rev-parse HEAD >"$work/head.new" || return 0
        mv "$work/head.new" "$work/head"
    done
}

for ((round = 1; round <= rounds; round++)); do
    commit_on >/dev/null 2>&1 &
    commits=$!
    cmake --build "$mnt/build" -j2 >"$work/build.log" 2>&1 &
    build=$!
    sleep "$((2 + round % 3)).$((RANDOM % 10))"
    kill_daemon
    end_jobs "$build" "$commits"
    mount_volume
    # A lock of the git that was killed stays, as after any crash.
    find "$mnt/repo/.git" -name '*.lock' -delete
    "${repo[@]}" fsck --full --strict >"$work/git.log" 2>&1 || {
        head -n 5 "$work/git.log"
        fail "round $round: git fsck found problems"
    }
    # Objects that nothing names yet are no damage, and their hashes may spell any word.
    ! grep -v '^dangling ' "$work/git.log" | grep -wE 'missing|corrupt|broken|bad' ||
        fail "round $round: git fsck"
    "${repo[@]}" merge-base --is-ancestor "$(cat "$work/head")" HEAD ||
        fail "round $round: the last commit that was made is lost"
    "${repo[@]}" reset -q --hard
    step "round $round: killed, sound, $("${repo[@]}" rev-list --count HEAD) commits"
done

# What make finds half-written after a power cut it cannot know: start from what is there.
step "build to the end"
rm -rf "$mnt/build"
configure_source "$mnt/tree" "$mnt/build"
cmake --build "$mnt/build" -j2 >"$work/build.log" 2>&1 || {
    tail -n 20 "$work/build.log"
    fail "the build after the crashes failed"
}
"$mnt/build/examples/tagreader" "$mnt"/tree/tests/data/*.mp3 >/dev/null 2>&1
unmount_volume
step "done: $rounds kills"
