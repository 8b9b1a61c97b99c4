/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which worker goes on with a traversal that cannot go on where it is, and for how long. What it does
 * is drive.c's.
 *
 * What is short and within the tenant's part of a CPU is done at high priority at once. Steps that are
 * not, because the tenant has had its part or the program is slow, are for a crew (crew.h), in which
 * tenants take turns by their weights: the one of the CPU, or for slow programs the one for all CPUs.
 * Only steps are: reads that are due are issued without, so that no turn at a device waits for one at a
 * CPU. And the other way round a worker gives its place in a crew back before it may sleep.
 *
 * Two rules keep devices and tenants from waiting for each other here. Workers that all share never
 * sleep for a device: what may sleep, a bio or a driver's queue_rq(), is left to workers of its
 * volume, so a device that is frozen, throttled or hung holds up no other. And what waits for a worker
 * keeps a request only where nothing comes first but short work of high priority: whoever freezes the
 * queue or is short of tags waits for that request, and what holds the worker up may in turn wait
 * for the freeze to end.
 */
#ifndef EXO_WORKERS_H
#define EXO_WORKERS_H

#include <linux/types.h>

struct exo_crew;
struct exo_read;
struct exo_tenant;
struct exo_traversal;
struct exo_volume;
struct work_struct;

/* A worker's. */
struct exo_place {
	struct exo_crew *crew;		/* NULL = it has none, or not any more */
	struct exo_tenant *tenant;	/* whose it is */
	u64 begun;			/* in exo_clock()'s ticks */
	bool used;			/* for a step */
};

void exo_workers_defer(struct exo_traversal *t);
void exo_workers_defer_short(struct work_struct *work);
bool exo_workers_may_issue(const struct exo_traversal *t, const struct exo_read *read);
bool exo_workers_may_step(const struct exo_traversal *t, struct exo_place *place);
struct exo_place exo_workers_arrive(struct exo_traversal *t, u64 now);
void exo_workers_leave(struct exo_place *place);
int exo_workers_begin_volume(struct exo_volume *volume);
void exo_workers_end_volume(struct exo_volume *volume);
int exo_workers_init(void);
void exo_workers_exit(void);

#endif /* EXO_WORKERS_H */
