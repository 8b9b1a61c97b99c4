#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SQLite with its rollback journal and with its write-ahead log, the daemon killed in the middle:
# every transaction that was committed is there, and the database is whole.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"

need sqlite3 sqlite3
new_volume 256M
rounds=3
[ -z "$long" ] || rounds=20

# One transaction after the other: ten rows each, and a sum that must hold. Says each that is done.
transactions() { # DATABASE FIRST
    local n
    for ((n = $2; n < $2 + 100000; n++)); do
        echo "BEGIN; INSERT INTO t SELECT $n, hex(randomblob(300)) FROM (VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9));"
        echo "UPDATE sums SET transactions = transactions + 1; DELETE FROM t WHERE n = $n - 50; COMMIT;"
        echo "SELECT $n;"
    done | sqlite3 -bail "$1"
}

for mode in DELETE TRUNCATE WAL; do
    db=$mnt/$mode.db
    sqlite3 "$db" "PRAGMA journal_mode=$mode; PRAGMA synchronous=FULL;
        CREATE TABLE t (n INTEGER, text TEXT); CREATE INDEX i ON t (text);
        CREATE TABLE sums (transactions INTEGER); INSERT INTO sums VALUES (0);" >/dev/null
    next=1
    for ((round = 1; round <= rounds; round++)); do
        : >"$work/acknowledged"
        transactions "$db" "$next" >"$work/acknowledged" 2>/dev/null &
        job=$!
        sleep "1.$((RANDOM % 10))"
        kill_daemon
        end_jobs "$job"
        mount_volume
        # The last whole line: SQLite said so after COMMIT had returned.
        acknowledged=$(sed -n '/^[0-9]*$/p' "$work/acknowledged" | tail -n 2 | sed -n 1p)
        whole=$(sqlite3 "$db" 'PRAGMA integrity_check')
        [ "$whole" = ok ] || fail "$mode, round $round: integrity_check: $whole"
        read -r done_ rows < <(sqlite3 -separator ' ' "$db" \
            'SELECT transactions, (SELECT count(*) FROM t) FROM sums')
        [ "$done_" -ge "${acknowledged:-0}" ] ||
            fail "$mode, round $round: transaction $acknowledged was committed, but there are only $done_"
        [ "$rows" = $(((done_ < 50 ? done_ : 50) * 10)) ] ||
            fail "$mode, round $round: $rows rows after $done_ transactions"
        next=$((done_ + 1))
    done
    step "$mode: killed $rounds times, $done_ transactions, all that were committed are there"
done
unmount_volume
