// SPDX-License-Identifier: GPL-2.0-only
/* Start-time fair queueing of workers' time; see crew.h. */
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/workqueue.h>

#include "budget.h"
#include "crew.h"
#include "limits.h"
#include "tenant.h"
#include "traversal.h"

static struct exo_line *line_of(const struct exo_crew *crew, struct exo_tenant *tenant)
{
	if (crew->cpu == WORK_CPU_UNBOUND)
		return &tenant->slow;
	return &per_cpu_ptr(tenant->cpu, crew->cpu)->background;
}

static u32 places(const struct exo_crew *crew)
{
	return crew->cpu == WORK_CPU_UNBOUND ? max(num_online_cpus() / 2, 1U) : 1;
}

/* Virtual time may wrap around. */
static bool line_before(struct rb_node *a, const struct rb_node *b)
{
	return (s64)(rb_entry(a, struct exo_line, node)->time -
		     rb_entry(b, struct exo_line, node)->time) < 0;
}

static void leave_line(struct exo_crew *crew, struct exo_line *line, struct exo_traversal *t)
{
	list_del(&t->line_entry);
	if (list_empty(&line->traversals))
		rb_erase_cached(&line->node, &crew->lines);
}

/*
 * Takes out who must not go on; a bounded number in each jiffy. They are looked at whenever somebody comes or
 * goes, so that a long step keeps none of them waiting for its end.
 */
static void look(struct exo_crew *crew, struct list_head *stopped)
{
	struct exo_traversal *t, *last;

	if (!(jiffies - crew->looked) || list_empty(&crew->waiting))
		return;
	crew->looked = jiffies;
	last = list_last_entry(&crew->waiting, struct exo_traversal, crew_entry);
	for (u32 i = 0; i < EXO_CREW_BURST; i++) {
		t = list_first_entry(&crew->waiting, struct exo_traversal, crew_entry);
		if (exo_traversal_stopped(t) == EXO_END_DONE) {
			list_move_tail(&t->crew_entry, &crew->waiting);
		} else {
			leave_line(crew, line_of(crew, t->tenant), t);
			list_move_tail(&t->crew_entry, stopped);
		}
		if (t == last)
			break;
	}
}

/* Whose turn it is, if there is a place; without the lock the caller queues its work. */
static struct exo_traversal *next(struct exo_crew *crew)
{
	struct rb_node *node = rb_first_cached(&crew->lines);
	struct exo_traversal *t;
	struct exo_line *line;

	if (!node || crew->busy >= places(crew))
		return NULL;
	line = rb_entry(node, struct exo_line, node);
	t = list_first_entry(&line->traversals, struct exo_traversal, line_entry);
	leave_line(crew, line, t);
	list_del(&t->crew_entry);
	crew->time = line->time;
	crew->busy++;
	t->crew = crew;
	return t;
}

static void send(const struct exo_crew *crew, struct exo_traversal *t)
{
	if (t)
		queue_work_on(crew->cpu, crew->queue, &t->work);
}

/*
 * Sends whoever is next, and those that were taken out, and gives the lock up, which was taken without
 * preemption: a task that is not run for long must not take a place and somebody else's traversal with it.
 */
static void go_on(struct exo_crew *crew, unsigned long flags)
	__releases(&crew->lock)
{
	struct exo_traversal *t, *more;
	LIST_HEAD(stopped);

	look(crew, &stopped);
	t = next(crew);
	raw_spin_unlock_irqrestore(&crew->lock, flags);
	send(crew, t);
	list_for_each_entry_safe(t, more, &stopped, crew_entry)
		send(crew, t);
	preempt_enable();
}

/**
 * exo_crew_join() - leave a traversal to one of a crew's workers
 * @crew: whose place stands in @t->crew when the work of @t runs
 * @t: driven by the caller until now
 *
 * Context: any.
 */
void exo_crew_join(struct exo_crew *crew, struct exo_traversal *t)
{
	struct exo_line *line = line_of(crew, t->tenant);
	unsigned long flags;

	preempt_disable();
	raw_spin_lock_irqsave(&crew->lock, flags);
	list_add_tail(&t->crew_entry, &crew->waiting);
	if (list_empty(&line->traversals)) {
		/* Nothing is saved up. So far ahead is only who was not here while time wrapped around. */
		if (line->time - crew->time > EXO_CREW_MOST_AHEAD)
			line->time = crew->time;
		rb_add_cached(&line->node, &crew->lines, line_before);
	}
	list_add_tail(&t->line_entry, &line->traversals);
	go_on(crew, flags);
}

/**
 * exo_crew_leave() - give a place back
 * @crew: of the place
 * @tenant: that had it
 * @ticks: of exo_clock(), for how long
 *
 * Context: any.
 */
void exo_crew_leave(struct exo_crew *crew, struct exo_tenant *tenant, u64 ticks)
{
	struct exo_line *line = line_of(crew, tenant);
	unsigned long flags;
	u64 cost;

	/* A worker may have moved between CPUs whose clocks differ, or the machine have stood still. */
	if ((s64)ticks < 0)
		ticks = 0;
	ticks = min(ticks, EXO_CREW_MOST_WINDOWS * exo_window_ticks);
	cost = (ticks << EXO_CREW_SHIFT) / READ_ONCE(tenant->weight);

	preempt_disable();
	raw_spin_lock_irqsave(&crew->lock, flags);
	if (list_empty(&line->traversals)) {
		line->time += cost;
	} else {
		rb_erase_cached(&line->node, &crew->lines);
		line->time += cost;
		rb_add_cached(&line->node, &crew->lines, line_before);
	}
	crew->busy--;
	go_on(crew, flags);
}

void exo_crew_line_init(struct exo_line *line)
{
	INIT_LIST_HEAD(&line->traversals);
}

/* @cpu: of its workers, or WORK_CPU_UNBOUND */
void exo_crew_init(struct exo_crew *crew, struct workqueue_struct *queue, int cpu)
{
	*crew = (struct exo_crew){ .queue = queue, .cpu = cpu, .lines = RB_ROOT_CACHED };
	raw_spin_lock_init(&crew->lock);
	INIT_LIST_HEAD(&crew->waiting);
}
