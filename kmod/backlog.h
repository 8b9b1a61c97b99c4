/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the block layer holds back of one cgroup on one volume (io.max). Nothing reaches a bio there:
 * neither the end of its traversal nor that of its pin. So as soon as one is seen to be held back, a
 * few of the cgroup's reads at most are given away, and the others wait here, where they can be
 * called off. How many are given away grows with each that is let through.
 *
 * Lifetime: referenced by the traversals whose reads it counts. fair.c moves turns in and out.
 */
#ifndef EXO_BACKLOG_H
#define EXO_BACKLOG_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/types.h>

struct bio;
struct cgroup_subsys_state;
struct exo_turn;
struct exo_volume;

struct exo_backlog {
	struct hlist_node entry;	/* guarded by backlog.c, as users is */
	struct exo_volume *volume;	/* outlives it */
	struct cgroup_subsys_state *css;	/* holds a reference */
	u32 users;

	/* Guarded by volume->fair->lock. */
	bool limited;			/* turns are to be asked for; read anywhere */
	u32 held;			/* reads that were seen to be held back */
	u32 trying;			/* reads of which it is not known yet */
	u32 window;			/* of both together */
	struct list_head parked;	/* turns; the first come first */
};

struct exo_backlog *exo_backlog_get(struct exo_volume *volume, struct bio *origin);
void exo_backlog_put(struct exo_backlog *backlog);

bool exo_backlog_holds(const struct bio *bio);
bool exo_backlog_enter(struct exo_turn *turn);
void exo_backlog_park(struct exo_turn *turn);
void exo_backlog_unpark(struct exo_turn *turn);
struct exo_turn *exo_backlog_next(struct exo_backlog *backlog);
void exo_backlog_tried(struct exo_turn *turn, bool held);
void exo_backlog_leave(struct exo_turn *turn);

#endif /* EXO_BACKLOG_H */
