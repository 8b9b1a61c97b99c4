#!/bin/bash
# SPDX-License-Identifier: MIT
# The tests of the interface in random order, killed at a random moment, again and again: whatever a process was about,
# nothing of it stays, the module unloads, and the kernel has nothing to say. More rounds, or those of another seed:
# tools/vm/run ... --script THIS ROUNDS SEED.
# time-limit: 600
. "$EXO_TOP/tests/vm/lib.sh"

need_module
need_commands exo
modprobe fuse
: "${TMPDIR:=$(mktemp -d)}"
export TMPDIR
rounds=${1:-8} seed=${2:-$((EPOCHSECONDS % 32768))}
RANDOM=$seed
group=/sys/fs/cgroup/exo-killed
trap 'echo 1 >$group/cgroup.kill; rmdir $group' EXIT
mkdir -p $group

nobody_is_left() {
    grep -q 'populated 0' $group/cgroup.events
}

unmount_all() {
    local folder
    # A process that was killed while it waited for its own mount waits until that is ended.
    # Those that everybody is to see are in /tmp.
    awk '$2 ~ "/exo-fake-" { print $2 }' /proc/mounts | while read -r folder; do
        umount -f "$folder" || umount -l "$folder"
    done
}

echo "seed $seed"
for round in $(seq "$rounds"); do
    order=$RANDOM
    moment=$((RANDOM % 15 * EXO_TIME_SCALE)).$((RANDOM % 10))
    signal=$((RANDOM % 2 ? 9 : 15))
    status=0
    (
        echo "$BASHPID" >$group/cgroup.procs
        EXO_TEST_OTHER_DEVICE=$SECOND_DRIVE exec timeout --signal=$signal "$moment" \
            "$EXO_BUILD/tests/uapi/exo_uapi_test" --order-by=rand --rand-seed="$order" --duration=true --success=false
    ) >"$TMPDIR/output" 2>&1 </dev/null || status=$?
    echo "round $round: order $order, signal $signal after $moment s, exit code $status"
    # Killed by the signal, or told of it by timeout(1), or interrupted and then a test that failed for it.
    [ "$status" != 0 ] || die "it was not killed, but done"
    echo 1 >$group/cgroup.kill
    unmount_all
    wait_until 20 nobody_is_left
    release_volumes
    rm -rf "${TMPDIR:?}"/* /tmp/exo-fake-*
    unload_module_check
done
