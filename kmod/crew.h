/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A crew: a few workers that tenants share by their weights. A traversal that is left to one lines up
 * behind its tenant's others; whenever a place in the crew is free, it goes to the tenant that has had
 * the least of the crew's time for its weight. Time is known only when it has been spent, so it is
 * charged afterwards; somebody who comes back has saved nothing up. Which crew a traversal belongs to,
 * and for how long a worker keeps its place, is workers.c's.
 *
 * Those that must not go on are let out of the line without a place, soon.
 *
 * A place is for computing: whoever may sleep gives it back before, so that nobody waits for a place
 * while its holder waits for what he has.
 */
#ifndef EXO_CREW_H
#define EXO_CREW_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct exo_tenant;
struct exo_traversal;
struct workqueue_struct;

struct exo_crew {
	struct workqueue_struct *queue;
	int cpu;			/* its workers', or WORK_CPU_UNBOUND: half of all run some */

	raw_spinlock_t lock;		/* guards what follows, and the lines; hard interrupts take it */
	struct rb_root_cached lines;	/* that are not empty, by time */
	u64 time;			/* virtual: of the line that was last sent from */
	u32 busy;			/* places taken */
	struct list_head waiting;	/* traversals of all lines; those longest not looked at first */
	unsigned long looked;		/* jiffies */
};

/* A tenant's in one crew. */
struct exo_line {
	struct rb_node node;
	struct list_head traversals;	/* the first come first */
	u64 time;			/* virtual: what it has had */
};

void exo_crew_init(struct exo_crew *crew, struct workqueue_struct *queue, int cpu);
void exo_crew_line_init(struct exo_line *line);
void exo_crew_join(struct exo_crew *crew, struct exo_traversal *t);
void exo_crew_leave(struct exo_crew *crew, struct exo_tenant *tenant, u64 ticks);

#endif /* EXO_CREW_H */
