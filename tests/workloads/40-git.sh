#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# git on the mount: clone, gc, fsck, worktrees with many files, before and after remounts.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"

need git git
new_volume 1G
export GIT_AUTHOR_NAME=exo GIT_AUTHOR_EMAIL=exo@localhost GIT_COMMITTER_NAME=exo \
    GIT_COMMITTER_EMAIL=exo@localhost GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null

step "a repository of 2,000 files and 60 commits beside the mount"
git init -q "$work/origin"
mkdir -p "$work"/origin/{a,b,c,d}
for ((i = 0; i < 2000; i++)); do
    for ((k = 0; k < i % 40; k++)); do echo "$i $k $RANDOM"; done >"$work/origin/$(printf '%x' $((10 + i % 4)))/file$i"
done
for ((i = 0; i < 60; i++)); do
    echo "$i" >>"$work/origin/a/file$((i * 7))"
    git -C "$work/origin" add -A
    git -C "$work/origin" commit -qm "commit $i"
done

check() { # REPOSITORY
    git -C "$1" fsck --full --strict >"$work/git.log" 2>&1 || {
        head -n 5 "$work/git.log"
        fail "git fsck in $1"
    }
    [ -z "$(git -C "$1" status --porcelain)" ] || fail "git status in $1 shows changes"
    [ "$(git -C "$1" rev-parse HEAD)" = "$head" ] || fail "another HEAD in $1"
}
head=$(git -C "$work/origin" rev-parse HEAD)
step "clone"
git clone -q "file://$work/origin" "$mnt/clone"
git clone -q "$mnt/clone" "$mnt/second" # with hard links within the mount
check "$mnt/clone"
check "$mnt/second"
step "gc"
git -C "$mnt/clone" gc -q --aggressive --prune=now
git -C "$mnt/second" repack -q -a -d -f
check "$mnt/clone"
check "$mnt/second"
remount_volume
step "branches and merges after a remount"
check "$mnt/clone"
git -C "$mnt/clone" switch -q -c side HEAD~20
git -C "$mnt/clone" switch -q -
git -C "$mnt/clone" merge -q side
git -C "$mnt/clone" worktree add -q "$mnt/tree" HEAD~30
git -C "$mnt/clone" worktree remove "$mnt/tree"
check "$mnt/clone"
diff -r --exclude=.git "$work/origin" "$mnt/clone" || fail "the files differ"
remount_volume
check "$mnt/clone"
check "$mnt/second"
unmount_volume
step "done"
