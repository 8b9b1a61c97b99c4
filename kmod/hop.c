// SPDX-License-Identifier: GPL-2.0-only
/*
 * The common hop; see hop.h. Everything is checked before anything is changed: up to the program's
 * step the hop can still be left to others as if nothing had been looked at, and after it as if the
 * verdict had just been returned.
 */
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/preempt.h>

#include "budget.h"
#include "drive.h"
#include "extent_map.h"
#include "fair.h"
#include "grant.h"
#include "hop.h"
#include "issue.h"
#include "limits.h"
#include "pin.h"
#include "program_ops.h"
#include "reissue.h"
#include "request.h"
#include "tenant.h"
#include "trace.h"
#include "traversal.h"
#include "volume.h"

/*
 * Looks at what changes with the jiffies alone, for the rest of this one, and whether the program is
 * too slow to be run with interrupts off.
 */
static noinline bool settle(struct exo_traversal *t)
{
	unsigned long now = jiffies;

	if (exo_traversal_stopped(t) != EXO_END_DONE || !exo_tenant_was_seen(t->tenant) ||
	    exo_budget_is_slow(t))
		return false;
	t->settled = now;
	return true;
}

/*
 * As exo_traversal_stopped(), for a traversal of one grant. A program that is not being detached is
 * not gone before the read side ends in which the hop is, with interrupts or preemption off.
 */
static __always_inline bool may_go_on(struct exo_traversal *t, bool settled)
{
	return !exo_grant_is_cut(t->only) && !READ_ONCE(t->cancel) &&
	       !READ_ONCE(t->program->detaching) && (settled || !(jiffies - t->settled) || settle(t));
}

/* As traversal.c's step(), for a block that has arrived as a whole. */
static __always_inline int step(struct exo_traversal *t, const struct exo_read *r, bool polled,
				bool timed)
{
	struct exo_hop *hop = &t->context.hop;
	u64 offset = r->offset;
	u32 len = r->len;
	u64 begun = 0;
	int verdict;

	t->bytes += r->piece_len;
	t->offset = offset;
	t->len = len;
	hop->offset = offset;
	hop->len = len;
	hop->tag = r->tag;
	hop->hop = t->hops++;
	hop->hops_left = t->hop_limit - t->asked;
	t->block = r->buffer + (offset - r->window_start);
	t->block_len = len;
	t->free = BIT(0);

	/* Interrupts are off while a program runs, see traversal.c; in an interrupt they are. */
	if (polled)
		local_irq_disable();
	if (timed)
		begun = exo_clock();
	verdict = exo_program_step(t->program, &t->context);
	if (timed)
		exo_budget_judge(t->tenant, t->program, exo_clock() - begun);
	if (polled)
		local_irq_enable();
	if (trace_exo_hop_enabled())
		trace_exo_hop(t->only->id, hop->hop, hop->offset, hop->len, false, verdict);
	return verdict;
}

/* Where a read lies. */
struct place {
	u64 window_start;		/* in the file */
	u64 disk_offset;
	u32 window_len;			/* 0 = it is not allowed, or not one piece */
};

/*
 * Checks the read that the program asked for. For the end of a file that is not a whole block, and to
 * tell why a read is not allowed, there is exo_grant_check_read().
 */
static __always_inline struct place find(struct exo_traversal *t, const struct exo_read *r,
					 const struct exo_volume *volume)
{
	const struct place nowhere = {};
	const struct exo_grant *grant = t->only;
	const struct exo_extent *e = t->extent;
	u64 mask = volume->block_bytes - 1;
	u64 start = r->offset;
	u64 end = start + r->len;
	u64 len, within;

	if (end <= start || start < grant->range_start || end > grant->range_end)
		return nowhere;
	start &= ~mask;
	len = ((end + mask) & ~mask) - start;
	if (len > t->hop_bytes)
		return nowhere;

	/* Reads of one traversal often lie close together, and files in few extents. */
	within = start - e->file_offset;
	if (within >= e->length) {
		e = exo_extent_map_last_before(&grant->pin->map, start);
		t->extent = e;
		within = start - e->file_offset;
		if (within >= e->length)
			return nowhere;
	}
	if (e->length - within < len)
		return nowhere;
	return (struct place){
		.window_start = start,
		.disk_offset = e->disk_offset + within,
		.window_len = len,
	};
}

/* Points the request at the next read. The one before began in the same place of the buffer. */
static __always_inline void aim(struct exo_read *r, struct request *rq, sector_t sector,
				const struct place *place)
{
	struct bio *bio = &r->bio;

	r->window_start = place->window_start;
	r->window_len = place->window_len;
	r->piece_len = place->window_len;
	r->disk_offset = place->disk_offset;
	r->bvec.bv_len = place->window_len;

	/* All that a completion without an error changes in a bio; the rest is request.c's. */
	bio->bi_iter.bi_sector = sector;
	bio->bi_iter.bi_size = place->window_len;
	bio->bi_iter.bi_idx = 0;
	bio->bi_iter.bi_bvec_done = 0;
	rq->__sector = sector;
	blk_rq_bio_prep(rq, bio, 1);
}

/* The block is taken, and what comes next is for the general way. */
static void land(struct exo_traversal *t, struct exo_read *r)
{
	t->in_flight = 0;
	t->pause_us = EXO_RETRY_MIN_US;
	exo_fair_arrived(&r->turn);
}

/* What the program said is not like most. */
static noinline enum exo_hop_result judge(struct exo_traversal *t, struct exo_read *r, int verdict)
{
	land(t, r);
	exo_traversal_judge(t, verdict);
	return EXO_HOP_TAKEN;
}

/* The driver has not taken the next read: request.c finds out why. */
static noinline enum exo_hop_result take_back(struct exo_traversal *t, struct exo_read *r)
{
	atomic_set(&r->phase, EXO_PHASE_OWNED);
	WRITE_ONCE(r->request->state, MQ_RQ_IDLE);
	land(t, r);
	t->due = BIT(0);
	return EXO_HOP_TAKEN;
}

/*
 * Issues the read that the program asked for. It stays in flight, as if it had not been out of it in
 * between.
 */
static __always_inline enum exo_hop_result issue(struct exo_traversal *t, struct exo_read *r,
						 struct request *rq, bool polled)
{
	u32 *count = polled ? &t->poll_issued : &t->direct;
	struct exo_volume *volume = r->volume;
	const struct place place = find(t, r, volume);
	blk_status_t status;

	if (unlikely(!place.window_len ||
		     !exo_reissue_in_bounds(volume, place.disk_offset, place.window_len) ||
		     !exo_reissue_possible_now(volume, rq, polled)))
		return judge(t, r, EXO_NEXT);

	t->wished = 0;
	t->asked++;
	++*count;
	exo_reissue_reset(r, rq);
	aim(r, rq, volume->start_sector + (place.disk_offset >> SECTOR_SHIFT), &place);
	atomic_set(&r->phase, polled ? EXO_PHASE_ISSUED : EXO_PHASE_ISSUING);
	status = exo_reissue_queue_here(rq);
	if (!polled && unlikely(!irqs_disabled()))
		exo_request_blame_driver(volume);
	if (unlikely(status)) {
		--*count;
		return take_back(t, r);
	}

	/* Without a poller, the traversal may be gone unless this says otherwise. */
	if (polled || exo_issue_handed_over(r) == EXO_ISSUE_GONE)
		return EXO_HOP_GONE;
	land(t, r);
	t->arrived = BIT(0);
	return EXO_HOP_TAKEN;
}

/* @settled: seen to be, in this jiffy */
static __always_inline enum exo_hop_result hop(struct exo_traversal *t, struct exo_read *r,
					       bool polled, bool settled)
{
	struct exo_volume *volume = r->volume;
	int verdict;

	if (unlikely(r->status || !READ_ONCE(volume->direct) || !may_go_on(t, settled)))
		return EXO_HOP_OTHER;

	if (polled)
		atomic_set(&r->phase, EXO_PHASE_OWNED);
	verdict = step(t, r, polled, polled && !settled);
	if (unlikely(verdict != EXO_NEXT || t->wished != BIT(0) || r->slot != t->slot ||
		     !t->context.hop.hops_left ||
		     !exo_fair_is_quiet(&r->turn, volume->fair, t->tenant)))
		return judge(t, r, verdict);
	return issue(t, r, r->request, polled);
}

/* One step in each jiffy is timed; in an interrupt the whole stay is, always. */
static noinline enum exo_hop_result hop_timed(struct exo_read *r)
{
	return hop(r->traversal, r, true, false);
}

/**
 * exo_hop_in_interrupt() - take a block in its completion, and issue the next read
 * @r: in flight until now; not to be touched any more if it was taken
 *
 * Interrupts are off, which is an RCU read side: whoever quiesces the queue waits for it, as for the
 * block layer's own.
 *
 * Context: any in which a completion runs.
 * Return: false if it is not such a hop, and nothing has been done.
 */
bool exo_hop_in_interrupt(struct exo_read *r)
{
	struct exo_traversal *t = r->traversal;
	const struct exo_stay stay = exo_budget_stay(t->tenant, t->program);

	if (!r->whole || !exo_reissue_no_lock_interrupted() || !irqs_disabled() ||
	    !exo_request_direct_allowed() ||
	    (!exo_budget_was_last(&stay) && !exo_budget_enter(&stay)))
		return false;
	switch (hop(t, r, false, false)) {
	case EXO_HOP_OTHER:
		return false;
	case EXO_HOP_TAKEN:
		exo_drive_on(t, &stay);
		break;
	case EXO_HOP_GONE:
		break;
	}
	exo_budget_leave(&stay);
	return true;
}

/**
 * exo_hop_polled() - the same, for a poller that has seen the completion
 * @r: in EXO_PHASE_ARRIVED, which stays so unless the block is taken
 *
 * Context: process.
 */
enum exo_hop_result exo_hop_polled(struct exo_read *r)
{
	enum exo_hop_result result;

	/* With RT a driver may sleep under rcu_read_lock(), but not without preemption. */
	if (!r->whole || IS_ENABLED(CONFIG_PREEMPT_RT))
		return EXO_HOP_OTHER;
	/* Also an RCU read side, and the cheapest. */
	preempt_disable();
	if (likely(!(jiffies - r->traversal->settled)))
		result = hop(r->traversal, r, true, true);
	else
		result = hop_timed(r);
	preempt_enable();
	return result;
}
