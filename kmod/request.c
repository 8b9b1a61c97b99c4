// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocation, first issue and reissue of a read's request, by EXO_ENGINE_COMPLETION and _POLLED. What
 * to read is read.c's; bios are submit.c's.
 *
 * A request is first issued by blk_insert_cloned_request(), which knows schedulers, limits and
 * accounting. reissue.h says how it is issued again.
 */
#include <linux/blk-mq.h>
#include <linux/module.h>
#include <linux/pm_runtime.h>

#include "drive.h"
#include "issue.h"
#include "reissue.h"
#include "request.h"
#include "traversal.h"
#include "volume.h"

unsigned int exo_direct_issue = EXO_DIRECT_SAFE;

static int set_direct_issue(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, EXO_DIRECT_NEVER, EXO_DIRECT_FORCED);
}

static const struct kernel_param_ops direct_issue_ops = {
	.set = set_direct_issue,
	.get = param_get_uint,
};
module_param_cb(direct_issue, &direct_issue_ops, &exo_direct_issue, 0644);
MODULE_PARM_DESC(direct_issue,
		 "Reissue reads inside the completion interrupt: 0 never, 1 where it is safe (default), 2 also on a kernel with lockdep, which cannot see why it is safe");

/**
 * exo_request_volume_direct() - whether a queue's driver can be given a read in an interrupt
 * @queue: of a blk-mq driver
 *
 * Not if it sleeps, nor if it stacks on files or other queues and so expects process context.
 */
bool exo_request_volume_direct(const struct request_queue *queue)
{
	return !(queue->tag_set->flags & (BLK_MQ_F_BLOCKING | BLK_MQ_F_STACKING));
}

/**
 * exo_request_needs_budget() - whether a queue's driver wants a dispatch budget taken for every issue
 * @queue: of a blk-mq driver
 */
bool exo_request_needs_budget(const struct request_queue *queue)
{
	return queue->mq_ops->get_budget;
}

/*
 * A driver that we have taken for better than it is has let interrupts in. That is harmless once,
 * where nothing was interrupted that holds a lock, but it must not happen again.
 */
void exo_request_blame_driver(struct exo_volume *volume)
{
	local_irq_disable();
	if (READ_ONCE(volume->direct))
		pr_warn("exo: the driver of %s enables interrupts while it issues; its reads are left to workers now\n",
			volume->disk_name);
	WRITE_ONCE(volume->direct, false);
}

/* ---- the request ---- */

static enum rq_end_io_ret read_done(struct request *rq, blk_status_t status)
{
	struct exo_read *r = rq->end_io_data;

	/*
	 * The read is over, although the request stays allocated: a driver that resets its
	 * controller waits for every request that is marked as completing. Also for
	 * exo_reissue_possible().
	 */
	WRITE_ONCE(rq->state, MQ_RQ_IDLE);
	r->status = status;
	if (unlikely(r->fresh)) {
		r->driver_preps = rq->rq_flags & RQF_DONTPREP;
		r->fresh = false;
	}
	exo_issue_done(r);
	/* The traversal, and with it the request, may be gone. */
	return RQ_END_IO_NONE;
}

/* Of the piece that is due; never too few. */
static unsigned int segments(const struct exo_read *r)
{
	u32 bytes = r->volume->segment_bytes;

	return DIV_ROUND_UP(r->piece_at % bytes + r->piece_len, bytes);
}

static blk_opf_t polled_flag(const struct exo_read *r)
{
	return exo_traversal_polled(r->traversal) ? REQ_POLLED : 0;
}

/* Points the request at the piece that is due. */
static void prepare(struct exo_read *r, bool with_cgroup)
{
	struct exo_volume *volume = r->volume;
	struct request *rq = r->request;
	blk_opf_t opf = REQ_OP_READ | polled_flag(r);
	u8 *to = r->buffer + r->piece_at;

	/*
	 * A bio that a scheduler may see needs its cgroup. One that goes to the driver needs only
	 * the device; current may be anybody there.
	 */
	bio_init(&r->bio, with_cgroup ? volume->bdev : NULL, &r->bvec, 1, opf);
	r->bio.bi_bdev = volume->bdev;
	r->bio.bi_vcnt = 1;
	bvec_set_page(&r->bvec, virt_to_page(to), r->piece_len, offset_in_page(to));
	r->bio.bi_iter.bi_size = r->piece_len;
	r->bio.bi_iter.bi_sector = volume->start_sector + (r->disk_offset >> SECTOR_SHIFT);

	rq->__sector = r->bio.bi_iter.bi_sector;
	blk_rq_bio_prep(rq, &r->bio, segments(r));
}

/*
 * Never sleeps for a request: a worker that did so would keep other traversals, which hold requests
 * that somebody may be waiting for, from running.
 */
static int allocate(struct exo_read *r)
{
	/* A scheduler must not merge other bios into a request whose end is ours. */
	blk_opf_t opf = REQ_OP_READ | REQ_NOMERGE | polled_flag(r);
	struct request_queue *queue = r->volume->queue;
	struct request *rq;

	/* The block layer would not notice that the queue has no hardware queues. */
	if (WARN_ON_ONCE(r->volume->dispatch_only))
		return -EOPNOTSUPP;
	rq = blk_mq_alloc_request(queue, opf, BLK_MQ_REQ_NOWAIT);
	if (IS_ERR(rq)) {
		if (blk_queue_dying(queue))
			return -ENODEV;
		/* Only a caller that waits wakes a suspended device up by itself. */
		if (blk_queue_pm_only(queue) && queue->dev)
			pm_request_resume(queue->dev);
		return PTR_ERR(rq);
	}
	if (exo_traversal_polled(r->traversal) && rq->mq_hctx->type != HCTX_TYPE_POLL) {
		blk_mq_free_request(rq);
		return -EOPNOTSUPP;
	}
	rq->end_io = read_done;
	rq->end_io_data = r;
	r->fresh = true;
	r->request = rq;
	return 0;
}

/*
 * Traversals that find no room do not show in the block layer's own count of who waits. Poll queues
 * mostly have tags of their own, of which completions have none.
 */
static void set_waiting(struct exo_read *r, bool waiting)
{
	struct exo_volume *volume = r->volume;
	bool polled = exo_traversal_polled(r->traversal);
	int more = waiting ? 1 : -1;

	if (r->waiting == waiting)
		return;
	r->waiting = waiting;
	atomic_add(more, &volume->fair->wanting[polled]);
	if (volume->shared_tags)
		atomic_add(more, &volume->fair->wanting[!polled]);
}

/**
 * exo_request_release() - give the request, if any, back to its queue, and wait for none
 * @r: not in flight; the caller drives its traversal, or is its completion
 *
 * As long as a read counts as waiting, all others on the queue give back their requests for it.
 *
 * Context: any in which a completion runs.
 */
void exo_request_release(struct exo_read *r)
{
	struct request *rq = r->request;

	set_waiting(r, false);
	if (!rq)
		return;
	r->request = NULL;
	rq->end_io = NULL;
	rq->end_io_data = NULL;
	blk_mq_free_request(rq);
}

/* ---- reissue ---- */

static blk_status_t queue_rq_unless_stopped(struct request *rq)
{
	return exo_reissue_stopped(rq->mq_hctx) ? BLK_STS_RESOURCE : exo_reissue_queue(rq);
}

/*
 * A driver may fail after it has said that the request is started, and whoever resets the device
 * completes what is started: it must not find one that has no read in flight.
 */
static __always_inline blk_status_t
issue_or_unmark(struct request *rq, blk_status_t (*issue)(struct request *rq))
{
	blk_status_t status = issue(rq);

	if (unlikely(status))
		WRITE_ONCE(rq->state, MQ_RQ_IDLE);
	return status;
}

/*
 * Whoever quiesces the queue, and only then looks for what is started, waits for these read sides as for
 * the block layer's own. If it succeeds, the request may be gone.
 */
static __always_inline blk_status_t dispatch(struct request *rq,
					     blk_status_t (*issue)(struct request *rq))
{
	struct blk_mq_tag_set *set = rq->q->tag_set;
	blk_status_t status;
	int index;

	if (set->flags & BLK_MQ_F_BLOCKING) {
		index = srcu_read_lock(set->srcu);
		status = issue_or_unmark(rq, issue);
		srcu_read_unlock(set->srcu, index);
	} else {
		rcu_read_lock();
		status = issue_or_unmark(rq, issue);
		rcu_read_unlock();
	}
	return status;
}

/* ---- issue ---- */

static bool no_room(blk_status_t status)
{
	return status == BLK_STS_RESOURCE || status == BLK_STS_DEV_RESOURCE;
}

static enum exo_issue_result reissue(struct exo_read *r)
{
	struct exo_volume *volume = r->volume;
	struct request *rq = r->request;
	blk_status_t status;

	exo_reissue_reset(r, rq);
	prepare(r, false);
	exo_issue_hand_over(r);
	status = dispatch(rq, queue_rq_unless_stopped);
	/* The traversal may be gone. RCU keeps the volume's memory while we are in an interrupt. */
	if (unlikely(in_hardirq() && !irqs_disabled()))
		exo_request_blame_driver(volume);
	if (!status)
		return exo_issue_handed_over(r);

	atomic_set(&r->phase, EXO_PHASE_OWNED);
	if (no_room(status))
		return EXO_ISSUE_DEFER;
	exo_request_release(r);
	return exo_issue_failed(r, EXO_END_IO, blk_status_to_errno(status));
}

static enum exo_issue_result issue_fresh(struct exo_read *r)
{
	blk_status_t status;
	int ret;

	ret = allocate(r);
	set_waiting(r, ret == -EAGAIN);
	if (ret == -EAGAIN)
		return EXO_ISSUE_BUSY;
	if (ret)
		return exo_issue_failed(r, EXO_END_NO_REQUEST, ret);
	prepare(r, true);

	exo_issue_hand_over(r);
	status = dispatch(r->request, blk_insert_cloned_request);
	if (!status)
		return exo_issue_handed_over(r);
	atomic_set(&r->phase, EXO_PHASE_OWNED);
	bio_uninit(&r->bio);
	/* Other reads of the traversal may be in flight for long, and nobody is to find this one's. */
	exo_request_release(r);
	if (!no_room(status))
		return exo_issue_failed(r, EXO_END_IO, blk_status_to_errno(status));
	set_waiting(r, true);
	return EXO_ISSUE_BUSY;
}

/**
 * exo_request_issue() - read the piece that is due on the volume's own queue
 * @r: of a traversal that the caller drives, not in flight
 * @context: of the caller
 *
 * Context: as @context says; sleeps only where the driver's queue_rq() does.
 * Return: as exo_issue().
 */
enum exo_issue_result exo_request_issue(struct exo_read *r, enum exo_context context)
{
	enum exo_issue_result result;

	if (r->request && !exo_reissue_possible(r))
		exo_request_release(r);
	if (context == EXO_CONTEXT_COMPLETION &&
	    (!r->request || !exo_request_direct_allowed() || !READ_ONCE(r->volume->direct) ||
	     !exo_reissue_no_lock_held()))
		return EXO_ISSUE_DEFER;
	if (r->request) {
		result = reissue(r);
		if (result != EXO_ISSUE_DEFER || context == EXO_CONTEXT_COMPLETION)
			return result;
		exo_request_release(r);
	}
	return issue_fresh(r);
}

/**
 * exo_request_hole() - the piece that is due needs no read
 * @r: of a traversal that the caller drives, not in flight
 *
 * A traversal that wanders through holes must not keep a request that others could use.
 *
 * Context: any in which a completion runs.
 */
void exo_request_hole(struct exo_read *r)
{
	if (r->request && (++r->holes_in_a_row > EXO_HOLES_WITH_REQUEST || !exo_reissue_possible(r)))
		exo_request_release(r);
}

/**
 * exo_request_end() - the traversal reads no more
 * @r: of a traversal that the caller drives, not in flight
 *
 * Context: any in which a completion runs.
 */
void exo_request_end(struct exo_read *r)
{
	exo_request_release(r);
}

/**
 * exo_request_poll() - look once for completions of polled reads
 * @t: driven by the caller
 *
 * Context: process.
 */
void exo_request_poll(struct exo_traversal *t)
{
	const struct blk_mq_hw_ctx *last = NULL;

	for (u32 lanes = t->in_flight; lanes; lanes &= lanes - 1) {
		struct request *rq = t->reads[__ffs(lanes)].request;

		/* It waits for its turn. */
		if (!rq)
			continue;
		/* Reads that were issued on one CPU have one queue. */
		if (rq->mq_hctx == last)
			continue;
		last = rq->mq_hctx;
		exo_reissue_poll(rq);
	}
}
