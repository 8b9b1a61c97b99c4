// SPDX-License-Identifier: GPL-2.0-only
/* The watchers behind watch.h. How a traversal is polled is drive.c's. */
#include <linux/bitops.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "budget.h"
#include "clock.h"
#include "drive.h"
#include "grant.h"
#include "limits.h"
#include "pin.h"
#include "traversal.h"
#include "traverse.h"
#include "volume.h"
#include "watch.h"

struct exo_watcher {
	struct delayed_work look;	/* queued or running unless all lists are empty */
	wait_queue_head_t moved_on;
	struct exo_traversal *at;	/* is being looked at; written under the lock */

	spinlock_t lock;		/* guards what follows */
	struct list_head reaped;	/* lately; those that were so longest ago first */
	struct list_head due;		/* to be looked at in this round */
	struct list_head looked;	/* for the next one */
};

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

static struct exo_traversal *first(struct list_head *list)
{
	struct exo_watch *watch = list_first_entry_or_null(list, struct exo_watch, entry);

	return watch ? container_of(watch, struct exo_traversal, watch) : NULL;
}

static bool is_idle(const struct exo_watcher *w)
{
	return list_empty(&w->reaped) && list_empty(&w->due) && list_empty(&w->looked);
}

static void leave_alone(struct exo_watcher *w, struct exo_traversal *t)
{
	t->watch.from = jiffies + msecs_to_jiffies(EXO_POLL_AWAY_MS);
	list_move_tail(&t->watch.entry, &w->reaped);
}

/* The next one that nobody has reaped for long enough, or whose turn it is again. */
static struct exo_traversal *next(struct exo_watcher *w)
{
	struct exo_traversal *t = first(&w->reaped);

	return t && time_after_eq(jiffies, t->watch.from) ? t : first(&w->due);
}

/* Looks at one, without the lock; only exo_watch_end() may take it off its list meanwhile. */
static void look_at(struct exo_watcher *w, struct exo_traversal *t)
	__must_hold(&w->lock)
{
	u64 begun = exo_clock();
	bool ended, left;

	WRITE_ONCE(w->at, t);
	spin_unlock(&w->lock);
	ended = look(t);
	exo_budget_charge(t->tenant, exo_clock() - begun, false);
	left = ended && t->watch.left;
	spin_lock(&w->lock);

	if (ended)
		list_del_init(&t->watch.entry);
	/* From here on its poller may free it. */
	smp_store_release(&w->at, NULL);
	if (wq_has_sleeper(&w->moved_on))
		wake_up_all(&w->moved_on);
	if (!left)
		return;
	spin_unlock(&w->lock);
	exo_traverse_put(t, true);
	spin_lock(&w->lock);
}

/* In jiffies; there is something to come back for. */
static unsigned long rest(struct exo_watcher *w, u64 spent_ns)
{
	if (list_empty(&w->due) && list_empty(&w->looked))
		return max((long)(first(&w->reaped)->watch.from - jiffies), 1L);
	return nsecs_to_jiffies(max(EXO_POLL_FOR_NS, spent_ns * EXO_WATCH_REST));
}

/*
 * A worker that had to wait for the CPU has not spent that time, and owes no rest for it. The
 * scheduler counts at ticks and when it switches, hence the one that may be missing.
 */
static u64 cpu_time(u64 passed_ns, u64 ran_before_ns)
{
	return min(passed_ns, READ_ONCE(current->se.sum_exec_runtime) - ran_before_ns + TICK_NSEC);
}

static void look_work(struct work_struct *work)
{
	struct exo_watcher *w = container_of(to_delayed_work(work), struct exo_watcher, look);
	u64 ran_before = READ_ONCE(current->se.sum_exec_runtime);
	u64 begun = ktime_get_ns(), spent = 0;
	struct exo_traversal *t;

	spin_lock(&w->lock);
	/* A round, unless the one before has not come to its end. */
	if (list_empty(&w->due))
		list_splice_init(&w->looked, &w->due);
	while ((t = next(w)) && spent < EXO_WATCH_NS) {
		if (xchg(&t->watch.seen, false)) {
			leave_alone(w, t);
		} else {
			list_move_tail(&t->watch.entry, &w->looked);
			look_at(w, t);
		}
		cond_resched_lock(&w->lock);
		spent = ktime_get_ns() - begun;
	}

	if (!is_idle(w))
		queue_delayed_work(watchers, &w->look, rest(w, cpu_time(spent, ran_before)));
	spin_unlock(&w->lock);
}

/* Those that a volume's traversals get on this CPU. */
static void watch(struct exo_traversal *t)
{
	/* Entered, and so attached, until the end. */
	const struct exo_grant *grant = t->slots.grants[__ffs64(t->entered)];
	struct exo_watcher *w = raw_cpu_ptr(grant->pin->volume->watchers);

	t->watch.watcher = w;
	INIT_LIST_HEAD(&t->watch.entry);
	spin_lock(&w->lock);
	if (is_idle(w))
		queue_delayed_work(watchers, &w->look, msecs_to_jiffies(EXO_POLL_AWAY_MS));
	leave_alone(w, t);
	spin_unlock(&w->lock);
}

/**
 * exo_watch_begin() - somebody is to reap a traversal
 * @t: polled and started; on_end gives nothing back
 *
 * Context: process.
 */
void exo_watch_begin(struct exo_traversal *t)
{
	if (!t->ended)
		watch(t);
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
	struct exo_watcher *w = t->watch.watcher;

	if (!w)
		return;
	spin_lock(&w->lock);
	list_del_init(&t->watch.entry);
	spin_unlock(&w->lock);
	/* Pairs with look_at(): it does not touch the traversal any more. */
	wait_event(w->moved_on, smp_load_acquire(&w->at) != t);
}

/**
 * exo_watch_leave() - poll a traversal to its end, for a caller that will not
 * @t: polled and started, not ended; the caller's reference goes with it
 *
 * Context: process.
 */
void exo_watch_leave(struct exo_traversal *t)
{
	t->watch.left = true;
	watch(t);
}

/**
 * exo_watch_begin_volume() - make the watchers of a volume
 * @volume: to be attached
 *
 * Context: process, may sleep.
 */
int exo_watch_begin_volume(struct exo_volume *volume)
{
	unsigned int cpu;

	volume->watchers = alloc_percpu_gfp(struct exo_watcher, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!volume->watchers)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct exo_watcher *w = per_cpu_ptr(volume->watchers, cpu);

		INIT_DELAYED_WORK(&w->look, look_work);
		init_waitqueue_head(&w->moved_on);
		spin_lock_init(&w->lock);
		INIT_LIST_HEAD(&w->reaped);
		INIT_LIST_HEAD(&w->due);
		INIT_LIST_HEAD(&w->looked);
	}
	return 0;
}

/**
 * exo_watch_end_volume() - stop the watchers of a volume
 * @volume: on which nothing is in flight; what has ended may still be reaped
 *
 * Context: process, may sleep.
 */
void exo_watch_end_volume(struct exo_volume *volume)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		cancel_delayed_work_sync(&per_cpu_ptr(volume->watchers, cpu)->look);
}

/**
 * exo_watch_free_volume() - free the watchers of a volume
 * @volume: of which no traversal is left; its watchers may never have been made
 *
 * Context: any.
 */
void exo_watch_free_volume(struct exo_volume *volume)
{
	free_percpu(volume->watchers);
}

int __init exo_watch_init(void)
{
	watchers = alloc_workqueue("exo-watch", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return watchers ? 0 : -ENOMEM;
}

void exo_watch_exit(void)
{
	destroy_workqueue(watchers);
}
