/* SPDX-License-Identifier: GPL-2.0-only */
/* Totals since the module was loaded, counted per CPU without locks, from any context. */
#ifndef EXO_STATS_H
#define EXO_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

struct exo_stats;

struct exo_counters {
	u64 traversals;
	u64 traversals_ended;
	u64 hops;
	u64 issued_first;
	u64 issued_direct;
	u64 issued_polled;
	u64 issued_deferred;
	u64 issued_dispatched;
	u64 holes;
	u64 cached;
	u64 bytes;
	u64 io_errors;
	u64 denied_grants;
	u64 out_of_range;
	u64 revoked_grants;
};

DECLARE_PER_CPU(struct exo_counters, exo_counters);

#define exo_count(member)		this_cpu_inc(exo_counters.member)
#define exo_count_add(member, amount)	this_cpu_add(exo_counters.member, (amount))

void exo_stats_read(struct exo_stats *stats);

#endif /* EXO_STATS_H */
