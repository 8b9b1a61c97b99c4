// SPDX-License-Identifier: GPL-2.0-only
/* The worker behind watch.h. How a traversal is polled is drive.c's. */
#include <linux/jiffies.h>

#include "drive.h"
#include "limits.h"
#include "traversal.h"
#include "watch.h"

static struct workqueue_struct *watchers;

/* Looks once; false if somebody else does, or has. Ended is only what was seen to be. */
static bool look(struct exo_traversal *t)
{
	bool ended;

	if (atomic_xchg_acquire(&t->watch.polls, 1))
		return false;
	if (!t->ended)
		exo_drive_poll(t);
	ended = t->ended;
	atomic_set_release(&t->watch.polls, 0);
	return ended;
}

static void look_work(struct work_struct *work)
{
	struct exo_watch *watch = container_of(to_delayed_work(work), struct exo_watch, look);
	struct exo_traversal *t = container_of(watch, struct exo_traversal, watch);
	u32 again_ms = EXO_POLL_AWAY_MS;

	if (!xchg(&watch->seen, false)) {
		if (look(t))
			return;
		again_ms = EXO_POLL_FOR_MS;
	}
	queue_delayed_work(watchers, &watch->look, msecs_to_jiffies(again_ms));
}

/**
 * exo_watch_begin() - somebody is to reap a traversal
 * @t: polled and started; on_end gives nothing back
 *
 * Context: process.
 */
void exo_watch_begin(struct exo_traversal *t)
{
	INIT_DELAYED_WORK(&t->watch.look, look_work);
	if (!t->ended)
		queue_delayed_work(watchers, &t->watch.look, msecs_to_jiffies(EXO_POLL_AWAY_MS));
}

/**
 * exo_watch_poll() - look once for what a traversal is waiting for
 * @t: that exo_watch_begin() was called for
 *
 * Context: process.
 * Return: whether it has ended, and the caller has it for itself after exo_watch_end().
 */
bool exo_watch_poll(struct exo_traversal *t)
{
	WRITE_ONCE(t->watch.seen, true);
	return look(t);
}

/**
 * exo_watch_end() - a traversal has ended and will be freed
 * @t: that exo_watch_begin() was called for
 *
 * Context: process, may sleep.
 */
void exo_watch_end(struct exo_traversal *t)
{
	cancel_delayed_work_sync(&t->watch.look);
}

int __init exo_watch_init(void)
{
	/* Each is short, and none waits for another. */
	watchers = alloc_workqueue("exo-watch", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return watchers ? 0 : -ENOMEM;
}

void exo_watch_exit(void)
{
	destroy_workqueue(watchers);
}
