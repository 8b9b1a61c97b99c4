// SPDX-License-Identifier: GPL-2.0-only
/* The workqueues behind workers.h, and the choice among them. */
#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/workqueue.h>

#include "budget.h"
#include "clock.h"
#include "crew.h"
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

static DEFINE_PER_CPU(struct exo_crew, background_crews);
static struct exo_crew slow_crew;
static u64 stint_ticks __ro_after_init;

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

/* A CPU on which no slow step runs, most likely. */
static unsigned int quick_cpu(void)
{
	unsigned int here = raw_smp_processor_id(), cpu;

	for_each_cpu_wrap(cpu, cpu_online_mask, here) {
		if (!per_cpu(exo_budget_slow_step, cpu))
			return cpu;
	}
	return here;
}

/* Whether a read is to be issued before anything else, since others wait for its place at the device. */
static bool has_turn(const struct exo_traversal *t)
{
	for (u32 lanes = t->due; lanes; lanes &= lanes - 1) {
		if (t->reads[__ffs(lanes)].turn.given)
			return true;
	}
	return false;
}

/*
 * In which a worker needs a place for the next step, or NULL. A step that takes long cannot be
 * preempted on most kernels, so whatever else waits for its CPU waits for its end: therefore slow
 * programs have a part of the CPUs only, and nothing is left to be done where one of them runs.
 */
static struct exo_crew *crew_of(const struct exo_traversal *t)
{
	if (!t->arrived || t->ending)
		return NULL;
	if (exo_budget_is_slow(t))
		return &slow_crew;
	return t->in_background ? per_cpu_ptr(&background_crews, quick_cpu()) : NULL;
}

static struct workqueue_struct *queue_of(struct exo_traversal *t)
{
	struct exo_read *r = sleeper(t);

	t->submits_to = r ? r->volume : NULL;
	if (r)
		return r->volume->submitters;
	/* To issue a read takes no time, and others wait for its place. */
	if (t->in_background && !has_turn(t))
		return background;
	return exo_budget_cpu_is_slow() ? away : urgent;
}

/*
 * Who waits for a CPU neither has places at devices meanwhile nor waits for any, unless a turn was given
 * for the next read.
 */
static void leave_devices(struct exo_traversal *t)
{
	for (u32 lanes = t->due | t->arrived; lanes; lanes &= lanes - 1) {
		struct exo_turn *turn = &t->reads[__ffs(lanes)].turn;

		if (!turn->given)
			exo_fair_done(turn);
	}
}

static void leave_lines(struct exo_traversal *t)
{
	for (u32 lanes = t->in_flight; lanes; lanes &= lanes - 1) {
		struct exo_read *r = &t->reads[__ffs(lanes)];

		if (!r->waits || !exo_fair_leave(&r->turn))
			continue;
		exo_fair_done(&r->turn);
		r->waits = false;
		t->in_flight &= ~BIT(r->index);
		t->due |= BIT(r->index);
	}
}

static void release_requests(struct exo_traversal *t, u32 lanes)
{
	for (; lanes; lanes &= lanes - 1)
		exo_request_release(&t->reads[__ffs(lanes)]);
}

/**
 * exo_workers_defer() - have a worker go on with a traversal
 * @t: driven by the caller; must not be touched afterwards
 *
 * Context: any.
 */
void exo_workers_defer(struct exo_traversal *t)
{
	struct workqueue_struct *queue;
	struct exo_crew *crew;

	if (!t->in_background && !exo_budget_has_more(t->tenant))
		WRITE_ONCE(t->in_background, true);
	crew = crew_of(t);
	/* Also of a program that is slow: reads that arrive look at it. */
	if (crew)
		WRITE_ONCE(t->in_background, true);
	if (t->in_background)
		leave_devices(t);
	/* Or else the read that has its turn might look for room which these keep, and they wait for it. */
	if (crew)
		release_requests(t, t->arrived);
	if (crew && !has_turn(t)) {
		t->submits_to = NULL;
		leave_lines(t);
		release_requests(t, t->due);
		exo_crew_join(crew, t);
		return;
	}
	queue = queue_of(t);
	if (queue != urgent && queue != away)
		release_requests(t, t->due | t->arrived);
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
 * exo_workers_may_step() - whether the next step may be made by this worker
 * @t: that the worker drives, with a read that has arrived
 * @place: the worker's
 *
 * The first one that has waited for a place is made with it; then others may have been waiting for
 * long enough. One that needs no place may take as long before it does. To end what must not go on needs
 * none.
 */
bool exo_workers_may_step(const struct exo_traversal *t, struct exo_place *place)
{
	bool is_slow = exo_budget_is_slow(t), used = place->used;

	if (exo_traversal_stopped(t) != EXO_END_DONE)
		return true;
	if (!place->crew && !is_slow && !t->in_background)
		return exo_clock() - place->begun <= stint_ticks;
	if (!place->crew || (is_slow && place->crew != &slow_crew))
		return false;
	place->used = true;
	return !used || exo_clock() - place->begun <= stint_ticks;
}

/**
 * exo_workers_arrive() - a worker begins with a traversal
 * @t: driven from now on by the caller
 * @now: by exo_clock()
 *
 * Return: what is to be given back with exo_workers_leave() before the worker may sleep, while the
 * tenant of @t is sure to be there.
 */
struct exo_place exo_workers_arrive(struct exo_traversal *t, u64 now)
{
	struct exo_place place = { .crew = t->crew, .tenant = t->tenant, .begun = now };

	t->crew = NULL;
	return place;
}

/**
 * exo_workers_leave() - give a worker's place in a crew back, if it has one
 * @place: as exo_workers_arrive() returned it
 */
void exo_workers_leave(struct exo_place *place)
{
	if (!place->crew)
		return;
	exo_crew_leave(place->crew, place->tenant, exo_clock() - place->begun);
	place->crew = NULL;
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
	int cpu;

	/* On the CPU whose completion asks, at high priority: the application waits for it. */
	urgent = alloc_workqueue("exo", WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	away = alloc_workqueue("exo-away", WQ_HIGHPRI | WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	background = alloc_workqueue("exo-background", WQ_MEM_RECLAIM, 0);
	/* How many of these work at a time is their crew's business. */
	slow = alloc_workqueue("exo-slow", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!urgent || !away || !background || !slow) {
		exo_workers_exit();
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu)
		exo_crew_init(per_cpu_ptr(&background_crews, cpu), background, cpu);
	exo_crew_init(&slow_crew, slow, WORK_CPU_UNBOUND);
	stint_ticks = exo_clock_ticks(EXO_STINT_NS);
	return 0;
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
