#!/bin/bash
# SPDX-License-Identifier: MIT
# Traversals on a queue with each scheduler, and while the scheduler is being changed: the queue can be
# frozen, nothing is lost, and the scheduler's books balance (it warns if they do not).
# time-limit: 800
. "$EXO_TOP/tests/vm/lib.sh"

need_module
modprobe fuse
for module in mq-deadline kyber-iosched bfq; do
    modprobe -q "$module" || true
done
queue=/sys/block/$(basename "$SECOND_DRIVE")/queue
export EXO_TEST_DEVICE=$SECOND_DRIVE
schedulers=$(tr -d '[]' <"$queue/scheduler")
echo "schedulers: $schedulers"

for scheduler in $schedulers; do
    step "$scheduler"
    echo "$scheduler" >"$queue/scheduler"
    EXO_TEST_ROUNDS=10 "$EXO_BUILD/tests/uapi/exo_uapi_test" -ts=traversal,races
done

step "changing it under load"
EXO_TEST_ROUNDS=60 "$EXO_BUILD/tests/uapi/exo_uapi_test" -ts=races &
load=$!
changes=0
while kill -0 $load 2>/dev/null; do
    for scheduler in $schedulers; do
        echo "$scheduler" >"$queue/scheduler"
        changes=$((changes + 1))
    done
    echo $((64 + changes % 64)) >"$queue/nr_requests" || true
done
wait $load
echo "$changes changes"
[ "$changes" -ge 8 ] || die "only $changes changes of the scheduler happened under load"
echo none >"$queue/scheduler"
unload_module_check
