// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drives traversals: in the call that starts them, in completions, in workers, in whoever polls.
 * Nothing here knows what a program or a device says; that is traversal.c's and issue.c's.
 *
 * With more than one read at a time, t->events says who drives. It is empty while nobody does.
 * Whoever adds a read to the empty list drives; it replaces what is there by t->driven and leaves by
 * taking that away again, which fails when another read has been added. Whoever adds to a list that
 * is not empty leaves the traversal alone from then on, since its driver may end it.
 */
#include <linux/hrtimer.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>

#include "budget.h"
#include "clock.h"
#include "drive.h"
#include "fair.h"
#include "grant.h"
#include "hop.h"
#include "issue.h"
#include "limits.h"
#include "reissue.h"
#include "request.h"
#include "traversal.h"
#include "traverse.h"
#include "workers.h"

/* What a driver knows of itself; its traversal may be gone before it is. */
struct drive {
	enum exo_context context;
	const struct exo_stay *stay;	/* in an interrupt, or NULL */
	struct exo_place *place;	/* a worker's, else NULL */
};

static bool several(const struct exo_traversal *t)
{
	return t->lanes != 1;
}

/* ---- events ---- */

/*
 * Takes a read out of flight; with several at once the caller must drive. One that waited for its
 * turn has it now, or must not wait any longer.
 */
static void saw(struct exo_traversal *t, struct exo_read *r)
{
	t->in_flight &= ~BIT(r->index);
	if (unlikely(r->waits)) {
		r->waits = false;
		t->due |= BIT(r->index);
	} else {
		exo_fair_arrived(&r->turn);
		t->arrived |= BIT(r->index);
	}
}

/* An ending traversal does not wait for turns that it has no use for. */
static void wait_no_longer(struct exo_traversal *t)
{
	for (u32 lanes = t->in_flight; lanes; lanes &= lanes - 1) {
		struct exo_read *r = &t->reads[__ffs(lanes)];

		if (!r->waits || !exo_fair_leave(&r->turn))
			continue;
		r->waits = false;
		t->in_flight &= ~BIT(r->index);
	}
}

static void gather_polled(struct exo_traversal *t)
{
	for (u32 lanes = t->in_flight; lanes; lanes &= lanes - 1) {
		struct exo_read *r = &t->reads[__ffs(lanes)];

		if (atomic_read_acquire(&r->phase) != EXO_PHASE_ARRIVED)
			continue;
		atomic_set(&r->phase, EXO_PHASE_OWNED);
		saw(t, r);
	}
}

/* Sees what has arrived since the driver last looked. */
static void gather(struct exo_traversal *t)
{
	struct llist_node *node;

	if (READ_ONCE(t->events.first) == &t->driven)
		return;
	t->driven.next = NULL;
	node = xchg(&t->events.first, &t->driven);
	while (node && node != &t->driven) {
		struct exo_read *r = llist_entry(node, struct exo_read, arrived_entry);

		node = node->next;
		saw(t, r);
	}
}

/* Whether the caller, who has a read that arrived, drives from now on; the read has then been seen. */
static bool take_over(struct exo_read *r)
{
	struct exo_traversal *t = r->traversal;

	if (!several(t)) {
		saw(t, r);
		return true;
	}
	if (!llist_add(&r->arrived_entry, &t->events))
		return false;
	gather(t);
	return true;
}

/* Whether the driver may leave; afterwards it must not touch the traversal. */
static bool leave(struct exo_traversal *t)
{
	struct llist_node *driven = &t->driven;

	return try_cmpxchg(&t->events.first, &driven, NULL);
}

/* ---- later ---- */

static enum hrtimer_restart retry_now(struct hrtimer *timer)
{
	exo_workers_defer(container_of(timer, struct exo_traversal, retry));
	return HRTIMER_NORESTART;
}

static void free_work(struct work_struct *work)
{
	exo_traverse_free(container_of(work, struct exo_traversal, work));
}

/* Ends it and drops the engine's reference. Only if the caller has left is it the last one. */
static void end(struct exo_traversal *t, const struct drive *d)
{
	exo_traversal_end(t);
	if (!refcount_dec_and_test(&t->refs))
		return;
	/* Freeing it may sleep. */
	if (d->place)
		exo_workers_leave(d->place);
	if (d->context == EXO_CONTEXT_COMPLETION) {
		INIT_WORK(&t->work, free_work);
		exo_workers_defer_short(&t->work);
	} else {
		exo_traverse_free(t);
	}
}

/* ---- driving ---- */

/* Callers and workers may take their time; the others have more to do than one traversal. */
static bool patient(enum exo_context context)
{
	return context == EXO_CONTEXT_CALLER || context == EXO_CONTEXT_WORKER;
}

/*
 * Whether the driver may go on for as long as there is something to do. Workers have a high priority
 * for the sake of those who wait for a short hop; one that turns out to be long goes on with that of
 * everybody else. Those of a volume are few, and others wait for them.
 */
static bool unbounded(struct exo_traversal *t, enum exo_context context)
{
	if (context == EXO_CONTEXT_WORKER && (!t->in_background || t->submits_to)) {
		WRITE_ONCE(t->in_background, true);
		return false;
	}
	return patient(context);
}

static void note_signal(struct exo_traversal *t, enum exo_context context)
{
	if (context != EXO_CONTEXT_WORKER && context != EXO_CONTEXT_COMPLETION &&
	    fatal_signal_pending(current))
		WRITE_ONCE(t->cancel, true);
}

/*
 * The queue or the driver has no room for any read that is due. A caller that has nothing else to do
 * sleeps, but never longer than one pause at a time; everybody else leaves. Returns whether the
 * driver goes on.
 */
static bool pause(struct exo_traversal *t, enum exo_context context)
{
	u64 pause_ns = (u64)t->pause_us * NSEC_PER_USEC;
	enum exo_end stop;

	note_signal(t, context);
	stop = exo_traversal_stopped(t);
	if (stop != EXO_END_DONE) {
		exo_traversal_fail(t, stop, 0);
		return true;
	}
	t->pause_us = min(2 * t->pause_us, EXO_RETRY_MAX_US);
	switch (context) {
	case EXO_CONTEXT_CALLER:
		usleep_range(pause_ns / NSEC_PER_USEC, 2 * pause_ns / NSEC_PER_USEC);
		return true;
	case EXO_CONTEXT_POLLER:
		t->stalled_until_ns = ktime_get_ns() + pause_ns;
		return false;
	default:
		hrtimer_start(&t->retry, ns_to_ktime(pause_ns), HRTIMER_MODE_REL);
		return false;
	}
}

enum issued {
	ISSUED_GONE,			/* in flight; a traversal of one read is not ours any more */
	ISSUED_HERE,			/* it is in one of the traversal's sets again */
	ISSUED_STALLED,			/* due, but there is no room */
	ISSUED_ELSEWHERE,		/* due, but only a worker can, or another one */
};

static enum issued issue(struct exo_traversal *t, struct exo_read *r, enum exo_context context)
{
	if (context == EXO_CONTEXT_WORKER && !exo_workers_may_issue(t, r))
		return ISSUED_ELSEWHERE;
	t->due &= ~BIT(r->index);
	t->in_flight |= BIT(r->index);
	switch (exo_issue(r, context)) {
	case EXO_ISSUE_GONE:
		return ISSUED_GONE;
	case EXO_ISSUE_ARRIVED:
		saw(t, r);
		return ISSUED_HERE;
	case EXO_ISSUE_FAILED:
		t->in_flight &= ~BIT(r->index);
		return ISSUED_HERE;
	case EXO_ISSUE_DEFER:
		t->in_flight &= ~BIT(r->index);
		t->due |= BIT(r->index);
		return ISSUED_ELSEWHERE;
	default:
		t->in_flight &= ~BIT(r->index);
		t->due |= BIT(r->index);
		return ISSUED_STALLED;
	}
}

/*
 * Takes one read that has arrived. False: there is none.
 */
static bool take_one(struct exo_traversal *t)
{
	u32 index;

	if (!t->arrived)
		return false;
	index = __ffs(t->arrived);
	t->arrived &= ~BIT(index);
	t->pause_us = EXO_RETRY_MIN_US;
	exo_traversal_take(t, &t->reads[index]);
	if (several(t) && !((t->due | t->arrived) & BIT(index)))
		exo_issue_idle(&t->reads[index]);
	return true;
}

/* Leaves it to another worker. */
static void leave_it(struct exo_traversal *t, const struct drive *d)
{
	if (d->place)
		exo_workers_leave(d->place);
	exo_workers_defer(t);
}

/* Leaves it to a worker with the priority of everybody else. */
static void step_aside(struct exo_traversal *t, const struct drive *d)
{
	WRITE_ONCE(t->in_background, true);
	leave_it(t, d);
}

/* Whether the next step, if there is one, may be made here. */
static bool may_step(const struct exo_traversal *t, const struct drive *d)
{
	return !d->place || !t->arrived || t->ending || exo_workers_may_step(t, d->place);
}

/*
 * Drives the traversal as far as it goes here. Afterwards it must not be touched, except by a
 * poller. Context: as @d says.
 */
static void run(struct exo_traversal *t, const struct drive *d)
{
	/* Once its only read is in flight the traversal is somebody else's. */
	const bool many = several(t);
	const enum exo_context context = d->context;
	unsigned int burst = 0;
	u32 stalled = 0, elsewhere = 0;
	bool steps;

	for (;;) {
		if (many && context != EXO_CONTEXT_POLLER)
			gather(t);
		steps = may_step(t, d);
		if (steps && take_one(t))
			stalled = 0;
		if (t->ending) {
			t->due = 0;
			if (t->arrived)
				continue;
			wait_no_longer(t);
			if (!t->in_flight) {
				end(t, d);
				return;
			}
		}
		if (d->stay && (t->due | t->arrived) && exo_budget_is_over(d->stay)) {
			step_aside(t, d);
			return;
		}
		if (t->due & ~(stalled | elsewhere)) {
			u32 index = __ffs(t->due & ~(stalled | elsewhere));

			switch (issue(t, &t->reads[index], context)) {
			case ISSUED_GONE:
				if (!many)
					return;
				continue;
			case ISSUED_STALLED:
				stalled |= BIT(index);
				continue;
			case ISSUED_ELSEWHERE:
				elsewhere |= BIT(index);
				continue;
			case ISSUED_HERE:
				break;
			}
			note_signal(t, context);
			if (patient(context))
				cond_resched();
			/* Holes, or a device that never waits. */
			if (++burst >= EXO_BURST && !unbounded(t, context)) {
				if (context != EXO_CONTEXT_POLLER)
					leave_it(t, d);
				return;
			}
			continue;
		}
		if (t->arrived && steps)
			continue;
		if (t->due & stalled) {
			if (!pause(t, context))
				return;
			stalled = elsewhere = 0;
			continue;
		}
		if (!steps) {
			step_aside(t, d);
			return;
		}
		if (t->due) {
			leave_it(t, d);
			return;
		}
		if (context == EXO_CONTEXT_POLLER || leave(t))
			return;
	}
}

/* A grant of the traversal's tenant. */
static struct exo_grant *grant_of_tenant(const struct exo_traversal *t)
{
	u32 slot = 0;

	while (t->slots.grants[slot]->tenant != t->tenant)
		slot++;
	return t->slots.grants[slot];
}

/* How often this worker let others run. Those of a volume have no priority, so others may run in between as well. */
static unsigned long switches(bool sleeps)
{
	return current->nvcsw + (sleeps ? current->nivcsw : 0);
}

static void run_work(struct work_struct *work)
{
	struct exo_traversal *t = container_of(work, struct exo_traversal, work);
	struct exo_grant *grant = grant_of_tenant(t);
	bool sleeps = t->submits_to, urgent = !t->in_background && !t->crew;
	unsigned long before = switches(sleeps);
	u64 begun = exo_clock();
	struct exo_place place = exo_workers_arrive(t, begun);

	/* The traversal may be gone afterwards, and its tenant with it. */
	exo_grant_get(grant);
	run(t, &(struct drive){ .context = EXO_CONTEXT_WORKER, .place = &place });
	exo_workers_leave(&place);
	/* One that slept in between has not spent that time. */
	if (switches(sleeps) == before)
		exo_budget_charge(grant->tenant, exo_clock() - begun, urgent);
	exo_grant_put(grant);
}

/* ---- completions ---- */

/* Bios are submitted by the caller, if it waits for nothing else, or by a worker. */
static void dispatch_later(struct exo_traversal *t)
{
	int expected = EXO_DISPATCHER_CALLER;

	if (atomic_try_cmpxchg(&t->dispatcher, &expected, EXO_DISPATCHER_WOKEN))
		complete(&t->done);
	else
		exo_workers_defer(t);
}

/* Goes on with what has arrived, if it may be done here, or else elsewhere. */
static void go_on(struct exo_read *r, const struct exo_stay *stay, bool here)
{
	const struct drive d = { .context = EXO_CONTEXT_COMPLETION, .stay = stay };
	struct exo_traversal *t = r->traversal;

	/* What waits for a CPU keeps nothing that others need, nor does what comes to one that waits. */
	if (!here || (several(t) && READ_ONCE(t->in_background) && READ_ONCE(t->events.first))) {
		exo_fair_arrived(&r->turn);
		exo_issue_idle(r);
	}
	if (!take_over(r))
		return;
	WRITE_ONCE(t->in_background, !here);
	if (t->engine == EXO_ENGINE_DISPATCH)
		dispatch_later(t);
	else if (here)
		run(t, &d);
	else
		exo_workers_defer(t);
}

/**
 * exo_drive_arrived() - the read in flight has completed
 * @r: must not be touched afterwards, nor its traversal
 *
 * Context: the driver's completion, whatever that is.
 */
void exo_drive_arrived(struct exo_read *r)
{
	const struct exo_stay stay = exo_budget_stay(r->traversal->tenant, r->traversal->program);
	bool here;

	/* A task can be preempted; it needs no bound, and may change the CPU. */
	if (!in_hardirq() && !in_serving_softirq()) {
		go_on(r, NULL, true);
		return;
	}
	here = exo_budget_enter(&stay);
	go_on(r, &stay, here);
	if (here)
		exo_budget_leave(&stay);
}

/**
 * exo_drive_on() - go on with a traversal whose block has been taken
 * @t: of one read at a time; must not be touched afterwards
 * @stay: in a hard interrupt (budget.h)
 *
 * Context: there.
 */
void exo_drive_on(struct exo_traversal *t, const struct exo_stay *stay)
{
	const struct drive d = { .context = EXO_CONTEXT_COMPLETION, .stay = stay };

	WRITE_ONCE(t->in_background, false);
	run(t, &d);
}

void exo_fair_go(struct exo_turn *turn)
{
	struct exo_read *r = container_of(turn, struct exo_read, turn);
	struct exo_traversal *t = r->traversal;

	if (exo_traversal_polled(t)) {
		atomic_set_release(&r->phase, EXO_PHASE_ARRIVED);
		return;
	}
	if (!take_over(r))
		return;
	if (t->engine == EXO_ENGINE_DISPATCH)
		dispatch_later(t);
	else
		exo_workers_defer(t);
}

bool exo_fair_must_not_wait(const struct exo_turn *turn)
{
	const struct exo_read *r = container_of(turn, struct exo_read, turn);

	return exo_traversal_stopped(r->traversal) != EXO_END_DONE;
}

/* Looks for the only read of a traversal, and takes it if it is like most. */
static enum exo_hop_result poll_plain(struct exo_traversal *t)
{
	struct exo_read *r = &t->reads[0];
	const struct request *rq = r->request;

	/* Without a request it waits for its turn. */
	if (rq && atomic_read(&r->phase) != EXO_PHASE_ARRIVED)
		exo_reissue_poll(rq);
	if (atomic_read_acquire(&r->phase) != EXO_PHASE_ARRIVED)
		return EXO_HOP_GONE;
	return rq ? exo_hop_polled(r) : EXO_HOP_OTHER;
}

/**
 * exo_drive_poll() - look once for what a polled traversal is waiting for, and go on with it
 * @t: polled and started, not ended, driven by nobody else
 *
 * Context: process.
 */
void exo_drive_poll(struct exo_traversal *t)
{
	static const struct drive d = { .context = EXO_CONTEXT_POLLER };

	if (t->plain && t->in_flight) {
		switch (poll_plain(t)) {
		case EXO_HOP_GONE:
			return;
		case EXO_HOP_TAKEN:
			run(t, &d);
			return;
		case EXO_HOP_OTHER:
			break;
		}
	}
	gather_polled(t);
	if (!t->arrived) {
		/* Also if it wants room: perhaps nobody else polls, and what is in flight has it. */
		exo_request_poll(t);
		if (!t->due || ktime_get_ns() < t->stalled_until_ns)
			return;
	}
	t->stalled_until_ns = 0;
	run(t, &d);
}

/**
 * exo_drive_resume() - go on with a traversal whose caller was woken to do so
 * @t: of EXO_ENGINE_DISPATCH; its dispatcher is EXO_DISPATCHER_WOKEN. Must not be touched afterwards
 *     but for done and what follows it
 *
 * Context: process, may sleep.
 */
void exo_drive_resume(struct exo_traversal *t)
{
	const struct drive d = { .context = EXO_CONTEXT_CALLER };

	atomic_set(&t->dispatcher, EXO_DISPATCHER_CALLER);
	run(t, &d);
}

/**
 * exo_drive_give_up() - the caller will not go on with its traversal
 * @t: started by a call that waits
 *
 * Context: process.
 * Return: false if it has just been woken to do so; it must wait for done and go on once more.
 */
bool exo_drive_give_up(struct exo_traversal *t)
{
	int expected = EXO_DISPATCHER_CALLER;

	return atomic_try_cmpxchg(&t->dispatcher, &expected, EXO_DISPATCHER_WORKER) ||
	       expected != EXO_DISPATCHER_WOKEN;
}

/* ---- start ---- */

/**
 * exo_drive_start() - begin
 * @t: complete, and entered on its first grant; must not be touched afterwards, except by a poller
 * @context: EXO_CONTEXT_CALLER, _SUBMITTER or, for a polled one, _POLLER
 *
 * From here on the engine gives back program and grants, and calls on_end once.
 *
 * Context: process; sleeps only as EXO_CONTEXT_CALLER.
 */
void exo_drive_start(struct exo_traversal *t, enum exo_context context)
{
	const struct drive d = { .context = context };

	t->events.first = &t->driven;
	exo_traversal_begin(t);
	run(t, &d);
}

/**
 * exo_drive_init() - set up what driving keeps in a traversal
 * @t: zeroed
 */
void exo_drive_init(struct exo_traversal *t)
{
	INIT_WORK(&t->work, run_work);
	hrtimer_init(&t->retry, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	t->retry.function = retry_now;
	t->pause_us = EXO_RETRY_MIN_US;
}
