#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# PostgreSQL on the mount: initdb, pgbench, and the daemon killed under load: the server recovers,
# and its books balance.
# shellcheck source=tests/workloads/lib.sh
. "$(dirname "$0")/lib.sh"

programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$programs/pgbench" ] || skip "there is no PostgreSQL (package postgresql)"
id postgres >/dev/null 2>&1 || skip "there is no user postgres (package postgresql)"
new_volume 1G
seconds_each=5 rounds=2
[ -z "$long" ] || seconds_each=30 rounds=10

as() {
    runuser -u postgres -- env PATH="$programs:$PATH" PGHOST="$work/socket" PGDATABASE=bench "$@"
}
postmaster=''
server() { # start|stop
    as pg_ctl -D "$mnt/pg/data" -l "$work/socket/log" -w -t 60 \
        -o "-c listen_addresses='' -c unix_socket_directories=$work/socket -c fsync=on" "$@" \
        >/dev/null || return 1
    postmaster=''
    if [ "$1" = start ]; then
        postmaster=$(head -n 1 "$mnt/pg/data/postmaster.pid")
    fi
}
ask() {
    as psql -qAtc "$1"
}
# Without its files it cannot end in an orderly way; its children follow it.
kill_server() {
    local i
    [ -n "$postmaster" ] || return 0
    kill -QUIT "$postmaster" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        [ -e "/proc/$postmaster" ] || break
        [ "$i" -lt 50 ] || kill -9 "$postmaster" 2>/dev/null || true
        sleep 0.1
    done
    postmaster=''
}
stop_servers=kill_server
install -d -o postgres -g postgres -m 700 "$mnt/pg" "$work/socket"

step "initdb"
as initdb -D "$mnt/pg/data" -A trust --no-instructions >/dev/null
server start || {
    tail -n 5 "$work/socket/log"
    fail "the server does not start"
}
as createdb bench
as pgbench -i -q -s 5 2>/dev/null
step "pgbench"
as pgbench -c 4 -j 2 -T "$seconds_each" >"$work/bench.log" 2>&1 || fail "pgbench: $(tail -n 2 "$work/bench.log")"
grep -E '^tps|number of failed' "$work/bench.log"

balanced() { # WHEN
    local sums
    sums=$(ask 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) =
        (SELECT coalesce(sum(delta), 0) FROM pgbench_history) AND (SELECT sum(abalance) FROM
        pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)')
    [ "$sums" = t ] || fail "$1: the books do not balance"
}
balanced "before the first kill"

for ((round = 1; round <= rounds; round++)); do
    as pgbench -n -c 4 -j 2 -T 60 >/dev/null 2>&1 &
    load=$!
    sleep 3
    before=$(ask 'SELECT count(*) FROM pgbench_history')
    kill_daemon
    end_jobs "$load"
    kill_server
    mount_volume
    server start 2>/dev/null || {
        tail -n 5 "$work/socket/log"
        fail "round $round: the server does not recover"
    }
    balanced "round $round"
    after=$(ask 'SELECT count(*) FROM pgbench_history')
    [ "$after" -ge "$before" ] || fail "round $round: $before transactions were committed, $after are there"
    step "round $round: killed and recovered, $after transactions"
done
as pg_dump bench >"$work/dump" || fail "pg_dump"
server stop
unmount_volume
step "done"
