// SPDX-License-Identifier: GPL-2.0-only
/* The workqueues behind workers.h, and the choice among them. */
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/workqueue.h>

#include "budget.h"
#include "limits.h"
#include "read.h"
#include "request.h"
#include "traversal.h"
#include "volume.h"
#include "workers.h"

static struct workqueue_struct *urgent;
static struct workqueue_struct *away;
static struct workqueue_struct *background;
static struct workqueue_struct *slow;

static bool may_sleep(const struct exo_read *r)
{
	if (r->hole || r->cached)
		return false;
	return r->traversal->engine == EXO_ENGINE_DISPATCH || r->volume->sleeps;
}

/*
 * The read for whose device the next worker must be one that may sleep, or NULL. One that arrived is
 * mostly followed by another on its device. A traversal of several devices goes from one's workers to
 * the next one's.
 */
static struct exo_read *sleeper(const struct exo_traversal *t)
{
	struct exo_read *found = NULL;

	for (u32 lanes = t->due ?: t->arrived; lanes; lanes &= lanes - 1) {
		struct exo_read *r = &t->reads[__ffs(lanes)];

		if (!may_sleep(r))
			continue;
		found = r;
		if (r->volume != t->submits_to)
			break;
	}
	return found;
}

/*
 * A step that takes long cannot be preempted on most kernels, so whatever else waits for its CPU waits for its
 * end: therefore slow programs have a part of the CPUs only, and nothing is left to be done where one of them
 * runs.
 */
static struct workqueue_struct *where(struct exo_traversal *t)
{
	struct exo_read *r = sleeper(t);

	if (exo_budget_is_slow(t) && (t->arrived || !r)) {
		t->submits_to = NULL;
		return slow;
	}
	t->submits_to = r ? r->volume : NULL;
	if (r)
		return r->volume->submitters;
	if (t->in_background)
		return background;
	return exo_budget_cpu_is_slow() ? away : urgent;
}

/**
 * exo_workers_defer() - have a worker go on with a traversal
 * @t: driven by the caller; must not be touched afterwards
 *
 * Context: any.
 */
void exo_workers_defer(struct exo_traversal *t)
{
	struct workqueue_struct *queue = where(t);

	if (queue != urgent && queue != away) {
		for (u32 lanes = t->due | t->arrived; lanes; lanes &= lanes - 1)
			exo_request_release(&t->reads[__ffs(lanes)]);
	}
	queue_work(queue, &t->work);
}

/**
 * exo_workers_defer_short() - have a worker do something short that does not wait for a device
 * @work: to be done
 *
 * Context: any.
 */
void exo_workers_defer_short(struct work_struct *work)
{
	queue_work(urgent, work);
}

/**
 * exo_workers_may_issue() - whether a read may be issued by this worker
 * @t: that the worker drives
 * @r: of it, due
 */
bool exo_workers_may_issue(const struct exo_traversal *t, const struct exo_read *r)
{
	return t->submits_to == r->volume || !may_sleep(r);
}

/**
 * exo_workers_may_step() - whether the program may be run by this worker
 * @t: that the worker drives
 *
 * Those of a volume are not for slow programs, whose place is elsewhere.
 */
bool exo_workers_may_step(const struct exo_traversal *t)
{
	return !t->submits_to || !exo_budget_is_slow(t);
}

/**
 * exo_workers_begin_volume() - make the workers that may sleep for a volume's device
 * @volume: to be attached
 *
 * More than the places that tenants share, so that the next in turn finds one; scheduled as every
 * other task that reads.
 *
 * Context: process, may sleep.
 */
int exo_workers_begin_volume(struct exo_volume *volume)
{
	volume->submitters = alloc_workqueue("exo-%s", WQ_UNBOUND, EXO_SUBMITTERS,
					     volume->disk_name);
	return volume->submitters ? 0 : -ENOMEM;
}

/**
 * exo_workers_end_volume() - let them go
 * @volume: on which nothing is in flight; its last worker may still be on its way out
 *
 * Context: process, may sleep.
 */
void exo_workers_end_volume(struct exo_volume *volume)
{
	destroy_workqueue(volume->submitters);
}

int __init exo_workers_init(void)
{
	/* On the CPU whose completion asks, at high priority: the application waits for it. */
	urgent = alloc_workqueue("exo", WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	away = alloc_workqueue("exo-away", WQ_HIGHPRI | WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	background = alloc_workqueue("exo-background", WQ_MEM_RECLAIM, 0);
	slow = alloc_workqueue("exo-slow", WQ_UNBOUND | WQ_MEM_RECLAIM,
			       max(num_possible_cpus() / 2, 1U));
	if (urgent && away && background && slow)
		return 0;
	exo_workers_exit();
	return -ENOMEM;
}

/* Nothing is in flight; traversals whose callers left early may still wait to be freed. */
void exo_workers_exit(void)
{
	if (urgent)
		destroy_workqueue(urgent);
	if (away)
		destroy_workqueue(away);
	if (background)
		destroy_workqueue(background);
	if (slow)
		destroy_workqueue(slow);
}
