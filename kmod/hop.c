// SPDX-License-Identifier: GPL-2.0-only
/*
 * The common hop; see hop.h. Everything is checked before anything is changed: up to the program's
 * step the hop can still be left to others as if nothing had been looked at, and after it as if the
 * verdict had just been returned.
 */
#include <linux/irqflags.h>
#include <linux/preempt.h>

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
#include "trace.h"
#include "traversal.h"
#include "volume.h"

/* The whole of a read has arrived, as one piece from the device, and nothing ends the traversal. */
static __always_inline bool arrived_whole(const struct exo_traversal *t, const struct exo_read *r)
{
	return !r->status && !r->hole && r->piece_len == r->window_len &&
	       r->offset + r->len <= r->grant->file_bytes &&
	       exo_traversal_stopped(t) == EXO_END_DONE;
}

/* As traversal.c's step(), for a block that arrived_whole(). */
static __always_inline int step(struct exo_traversal *t, struct exo_read *r, bool polled)
{
	struct exo_hop *hop = &t->context.hop;
	int verdict;

	t->pause_us = EXO_RETRY_MIN_US;
	t->in_flight = 0;
	exo_fair_arrived(&r->turn);
	t->bytes += r->piece_len;
	t->offset = r->offset;
	t->len = r->len;
	hop->offset = r->offset;
	hop->len = r->len;
	hop->tag = r->tag;
	hop->hop = t->hops++;
	hop->hops_left = t->hop_limit - t->asked;
	t->block = r->buffer + (r->offset - r->window_start);
	t->block_len = r->len;

	/* Interrupts are off while a program runs, see traversal.c; in an interrupt they are. */
	if (polled)
		local_irq_disable();
	verdict = exo_program_step(t->program, &t->context);
	if (polled)
		local_irq_enable();
	if (trace_exo_hop_enabled())
		trace_exo_hop(r->grant->id, hop->hop, hop->offset, hop->len, false, verdict);
	return verdict;
}

/* Whether the read that the program asked for is allowed, and one piece. */
static __always_inline bool find(const struct exo_traversal *t, const struct exo_read *r,
				 u64 *window_start, u32 *window_len, u64 *disk_offset)
{
	const struct exo_grant *grant = r->grant;
	const struct exo_volume *volume = r->volume;
	u64 mask = volume->block_bytes - 1;
	struct exo_run run;
	u64 start;
	u32 len;

	if (exo_grant_check_read(grant, r->offset, r->len, t->hop_bytes, volume->block_bytes) !=
	    EXO_END_DONE)
		return false;
	start = r->offset & ~mask;
	len = ((r->offset + r->len + mask) & ~mask) - start;
	if (len > volume->max_read_bytes || len > volume->segment_bytes)
		return false;
	run = exo_extent_map_find(&grant->pin->map, start);
	*window_start = start;
	*window_len = len;
	*disk_offset = run.target;
	return run.len >= len && !run.hole;
}

/* Points the request at the next read. The one before began in the same place of the buffer. */
static __always_inline void aim(struct exo_read *r, u64 window_start, u32 window_len,
				u64 disk_offset)
{
	struct request *rq = r->request;
	struct bio *bio = &r->bio;

	r->window_start = window_start;
	r->window_len = window_len;
	r->piece_len = window_len;
	r->disk_offset = disk_offset;
	r->bvec.bv_len = window_len;

	/* What a completion changes in a bio of one segment; the rest is as request.c has set it. */
	bio->bi_next = NULL;
	bio->bi_flags = 0;
	bio->bi_status = BLK_STS_OK;
	bio->bi_iter.bi_sector = r->volume->start_sector + (disk_offset >> SECTOR_SHIFT);
	bio->bi_iter.bi_size = window_len;
	bio->bi_iter.bi_idx = 0;
	bio->bi_iter.bi_bvec_done = 0;
	rq->__sector = bio->bi_iter.bi_sector;
	blk_rq_bio_prep(rq, bio, 1);
}

static __always_inline enum exo_hop_result hop(struct exo_read *r, bool polled)
{
	struct exo_traversal *t = r->traversal;
	struct exo_volume *volume = r->volume;
	struct request *rq = r->request;
	u64 window_start, disk_offset;
	blk_status_t status;
	u32 window_len;
	int verdict;

	if (!t->plain || !rq || !arrived_whole(t, r) || !READ_ONCE(volume->direct))
		return EXO_HOP_OTHER;

	if (polled)
		atomic_set(&r->phase, EXO_PHASE_OWNED);
	verdict = step(t, r, polled);
	if (verdict != EXO_NEXT || t->wished != BIT(0) || r->slot != t->slot ||
	    t->asked >= t->hop_limit || !exo_fair_is_free(&r->turn, &volume->fair, r->grant) ||
	    !find(t, r, &window_start, &window_len, &disk_offset) ||
	    !exo_reissue_in_bounds(volume, disk_offset, window_len) ||
	    !exo_reissue_possible(r) || exo_reissue_stopped(rq->mq_hctx)) {
		exo_traversal_judge(t, verdict);
		return EXO_HOP_TAKEN;
	}

	t->wished = 0;
	t->asked++;
	t->in_flight = BIT(0);
	if (polled)
		t->poll_issued++;
	else
		t->direct++;
	exo_reissue_reset(r);
	aim(r, window_start, window_len, disk_offset);
	atomic_set(&r->phase, polled ? EXO_PHASE_ISSUED : EXO_PHASE_ISSUING);
	status = exo_reissue_queue(rq);
	if (!polled && unlikely(!irqs_disabled()))
		exo_request_blame_driver(volume);
	if (likely(!status)) {
		/* Without a poller, the traversal may be gone unless this says otherwise. */
		if (polled || exo_issue_handed_over(r) == EXO_ISSUE_GONE)
			return EXO_HOP_GONE;
		t->in_flight = 0;
		t->arrived = BIT(0);
		return EXO_HOP_TAKEN;
	}

	/* Not taken: request.c finds out why. */
	atomic_set(&r->phase, EXO_PHASE_OWNED);
	WRITE_ONCE(rq->state, MQ_RQ_IDLE);
	if (polled)
		t->poll_issued--;
	else
		t->direct--;
	t->in_flight = 0;
	t->due = BIT(0);
	return EXO_HOP_TAKEN;
}

/**
 * exo_hop_in_interrupt() - take a block in its completion, and issue the next read
 * @r: in flight until now
 *
 * Interrupts are off, which is an RCU read side: whoever quiesces the queue waits for it, as for the
 * block layer's own.
 *
 * Context: hard interrupt.
 */
enum exo_hop_result exo_hop_in_interrupt(struct exo_read *r)
{
	if (!exo_reissue_no_lock_interrupted() || !irqs_disabled() ||
	    !exo_request_direct_allowed())
		return EXO_HOP_OTHER;
	return hop(r, false);
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

	/* There a driver may sleep under rcu_read_lock(), but not without preemption. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return EXO_HOP_OTHER;
	/* Also an RCU read side, and the cheapest. */
	preempt_disable();
	result = hop(r, true);
	preempt_enable();
	return result;
}
