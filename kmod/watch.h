/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Polled traversals in rings with IOPOLL that nobody reaps. Their completions are seen by nobody else,
 * so each would keep its request, for which everybody waits who freezes the queue or takes the device
 * away, and its grant, for which revocation waits. After a while a worker polls instead. Who polls has
 * the traversal; the other one passes by.
 */
#ifndef EXO_WATCH_H
#define EXO_WATCH_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct exo_traversal;

struct exo_watch {
	atomic_t polls;			/* 1 = somebody does */
	bool seen;			/* reaped since the worker last looked */
	struct delayed_work look;
};

void exo_watch_begin(struct exo_traversal *t);
bool exo_watch_poll(struct exo_traversal *t);
void exo_watch_end(struct exo_traversal *t);
int exo_watch_init(void);
void exo_watch_exit(void);

#endif /* EXO_WATCH_H */
