/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Polled traversals that their poller has left: those in rings with IOPOLL that nobody reaps, and those of
 * killed callers. Their completions are seen by nobody else, so each would keep its request, for which
 * everybody waits who freezes the queue or takes the device away, and its grant, for which revocation
 * waits. Who polls has the traversal; the other one passes by.
 *
 * However many there are, those of one volume that were left on one CPU have one watcher, which is
 * at rest for most of the time.
 */
#ifndef EXO_WATCH_H
#define EXO_WATCH_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/types.h>

struct exo_traversal;
struct exo_volume;
struct exo_watcher;

struct exo_watch {
	atomic_t polls;			/* 1 = somebody does */
	bool seen;			/* reaped since the watcher last looked */
	bool left;			/* for good: the watcher has the caller's reference */
	struct exo_watcher *watcher;	/* NULL = none: it had ended before anybody could leave it */

	/* Guarded by the watcher's lock. */
	struct list_head entry;		/* empty = seen to have ended */
	unsigned long from;		/* jiffies; until then it is its poller's alone */
};

void exo_watch_begin(struct exo_traversal *t);
bool exo_watch_poll(struct exo_traversal *t);
void exo_watch_end(struct exo_traversal *t);
void exo_watch_leave(struct exo_traversal *t);
int exo_watch_begin_volume(struct exo_volume *volume);
void exo_watch_end_volume(struct exo_volume *volume);
void exo_watch_free_volume(struct exo_volume *volume);
int exo_watch_init(void);
void exo_watch_exit(void);

#endif /* EXO_WATCH_H */
