// SPDX-License-Identifier: GPL-2.0-only
/* Sums the per-CPU counters for EXO_IOC_STATS. */
#include <linux/cpumask.h>

#include <linux/exo.h>

#include "audit.h"
#include "grant.h"
#include "pin.h"
#include "program_ops.h"
#include "stats.h"
#include "volume.h"

DEFINE_PER_CPU(struct exo_counters, exo_counters);

/**
 * exo_stats_read() - sum the counters
 * @stats: filled
 *
 * The sum is not a snapshot: counters that move meanwhile may be caught at different moments.
 * Context: any.
 */
void exo_stats_read(struct exo_stats *stats)
{
	u64 ended = 0;
	int cpu;

	memset(stats, 0, sizeof(*stats));
	for_each_possible_cpu(cpu)
		ended += READ_ONCE(per_cpu(exo_counters.traversals_ended, cpu));
	/* Ends are read before starts, so that the difference is never negative. */
	smp_rmb();
	for_each_possible_cpu(cpu) {
		const struct exo_counters *c = per_cpu_ptr(&exo_counters, cpu);

		stats->traversals += READ_ONCE(c->traversals);
		stats->hops += READ_ONCE(c->hops);
		stats->issued_first += READ_ONCE(c->issued_first);
		stats->issued_direct += READ_ONCE(c->issued_direct);
		stats->issued_polled += READ_ONCE(c->issued_polled);
		stats->issued_deferred += READ_ONCE(c->issued_deferred);
		stats->issued_dispatched += READ_ONCE(c->issued_dispatched);
		stats->holes += READ_ONCE(c->holes);
		stats->cached += READ_ONCE(c->cached);
		stats->bytes += READ_ONCE(c->bytes);
		stats->io_errors += READ_ONCE(c->io_errors);
		stats->denied_grants += READ_ONCE(c->denied_grants);
		stats->out_of_range += READ_ONCE(c->out_of_range);
		stats->revoked_grants += READ_ONCE(c->revoked_grants);
	}
	stats->traversals_in_flight = stats->traversals - ended;
	exo_audit_totals(&stats->audit_events, &stats->audit_lost);
	stats->grants = exo_grants_now();
	stats->pins = exo_pins_now();
	stats->volumes = exo_volumes_now();
	stats->programs = exo_programs_now();
}
