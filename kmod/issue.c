// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocation, first issue and reissue of a traversal's request. What to read is traversal.c's.
 *
 * A request is first issued by blk_insert_cloned_request(), which knows schedulers, limits and
 * accounting. It is reissued through the driver's queue_rq() under the same RCU protection as the
 * block layer's own dispatch, so that quiescing the queue stops us too. The block layer's entry
 * points would be wrong there: they may hand the request to a scheduler that has already been told
 * that it finished.
 */
#include <linux/blk-mq.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/part_stat.h>
#include <linux/pm_runtime.h>
#include <linux/sched.h>

#include "issue.h"
#include "limits.h"
#include "stats.h"
#include "traversal.h"
#include "volume.h"

enum { DIRECT_NEVER, DIRECT_SAFE, DIRECT_FORCED };

static unsigned int direct_issue = DIRECT_SAFE;

static int set_direct_issue(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, DIRECT_NEVER, DIRECT_FORCED);
}

static const struct kernel_param_ops direct_issue_ops = {
	.set = set_direct_issue,
	.get = param_get_uint,
};
module_param_cb(direct_issue, &direct_issue_ops, &direct_issue, 0644);
MODULE_PARM_DESC(direct_issue,
		 "Reissue reads inside the completion interrupt: 0 never, 1 where it is safe (default), 2 also on a kernel with lockdep, which cannot see why it is safe");

/**
 * exo_issue_direct_allowed() - whether kernel and administrator allow direct reissue at all
 *
 * Lockdep knows lock classes used in and out of interrupts, but not our argument below, and would
 * report a driver's submission lock. Without a preemption count there is no argument.
 */
bool exo_issue_direct_allowed(void)
{
	unsigned int mode = READ_ONCE(direct_issue);

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !IS_ENABLED(CONFIG_PREEMPT_COUNT))
		return false;
	return mode >= (IS_ENABLED(CONFIG_PROVE_LOCKING) ? DIRECT_FORCED : DIRECT_SAFE);
}

/*
 * Drivers take their submission lock with a plain spin_lock(), so issuing from an interrupt
 * deadlocks if the interrupted code, or the interrupt handler itself (virtio_blk), holds that lock.
 * Holding a spinlock raises the preemption count; so a hard interrupt that finds nothing but itself
 * in the count, or nothing but the idle task's own, interrupted no lock holder and holds none. In a
 * task the count must be zero.
 *
 * It must not be spin_lock_irq() either, whose unlock lets interrupts into an interrupt handler.
 * The drivers that are made for process context use it; see exo_issue_volume_direct().
 */
static bool no_lock_held_here(void)
{
	int count = preempt_count();

	if (in_hardirq())
		return count == HARDIRQ_OFFSET + (is_idle_task(current) ? 1 : 0);
	return !count && !irqs_disabled();
}

/**
 * exo_issue_volume_direct() - whether a queue's driver can be given a read in an interrupt
 * @queue: of a blk-mq driver
 *
 * Not if it sleeps, nor if it stacks on files or other queues and so expects process context.
 */
bool exo_issue_volume_direct(const struct request_queue *queue)
{
	return !(queue->tag_set->flags & (BLK_MQ_F_BLOCKING | BLK_MQ_F_STACKING));
}

/*
 * A driver that we have taken for better than it is has let interrupts in. That is harmless once,
 * where nothing was interrupted that holds a lock, but it must not happen again.
 */
static void check_driver(struct exo_volume *volume)
{
	if (likely(!in_hardirq() || irqs_disabled()))
		return;
	local_irq_disable();
	if (READ_ONCE(volume->direct))
		pr_warn("exo: the driver of %s enables interrupts while it issues; its reads are left to workers now\n",
			volume->disk_name);
	WRITE_ONCE(volume->direct, false);
}

/* ---- the request ---- */

static enum rq_end_io_ret read_done(struct request *rq, blk_status_t status)
{
	struct exo_traversal *t = rq->end_io_data;

	/*
	 * The read is over, although the request stays allocated: a driver that resets its
	 * controller waits for every request that is marked as completing. Also for reusable().
	 */
	WRITE_ONCE(rq->state, MQ_RQ_IDLE);
	t->status = status;
	if (t->fresh)
		t->driver_preps = rq->rq_flags & RQF_DONTPREP;
	t->fresh = false;
	if (t->polled) {
		/* The poller goes on, outside of the driver's poll function and its locks. */
		atomic_set_release(&t->phase, EXO_PHASE_ARRIVED);
		return RQ_END_IO_NONE;
	}
	if (atomic_cmpxchg(&t->phase, EXO_PHASE_ISSUING, EXO_PHASE_ARRIVED) == EXO_PHASE_ISSUING)
		return RQ_END_IO_NONE;
	/* A failed exchange orders nothing by itself; what the issuer wrote must be seen. */
	smp_acquire__after_ctrl_dep();
	exo_traversal_arrived(t);
	/* The traversal, and with it the request, may be gone. */
	return RQ_END_IO_NONE;
}

/* Of the piece that is due; never too few. */
static unsigned int segments(const struct exo_traversal *t)
{
	u32 bytes = t->volume->segment_bytes;

	return DIV_ROUND_UP(t->piece_at % bytes + t->piece_len, bytes);
}

/* Points the request at the piece that is due. */
static void prepare(struct exo_traversal *t, bool with_cgroup)
{
	struct exo_volume *volume = t->volume;
	struct request *rq = t->request;
	blk_opf_t opf = REQ_OP_READ | (t->polled ? REQ_POLLED : 0);
	u8 *to = t->buffer + t->piece_at;

	/*
	 * A bio that a scheduler may see needs its cgroup. One that goes to the driver needs only
	 * the device; current may be anybody there.
	 */
	bio_init(&t->bio, with_cgroup ? volume->bdev : NULL, &t->bvec, 1, opf);
	t->bio.bi_bdev = volume->bdev;
	t->bio.bi_vcnt = 1;
	bvec_set_page(&t->bvec, virt_to_page(to), t->piece_len, offset_in_page(to));
	t->bio.bi_iter.bi_size = t->piece_len;
	t->bio.bi_iter.bi_sector = volume->start_sector + (t->disk_offset >> SECTOR_SHIFT);

	rq->__sector = t->bio.bi_iter.bi_sector;
	blk_rq_bio_prep(rq, &t->bio, segments(t));
}

/*
 * Never sleeps for a request: a worker that did so would keep other traversals, which hold requests
 * that somebody may be waiting for, from running.
 */
static int allocate(struct exo_traversal *t)
{
	/* A scheduler must not merge other bios into a request whose end is ours. */
	blk_opf_t opf = REQ_OP_READ | REQ_NOMERGE | (t->polled ? REQ_POLLED : 0);
	struct request_queue *queue = t->volume->queue;
	struct request *rq;

	rq = blk_mq_alloc_request(queue, opf, BLK_MQ_REQ_NOWAIT);
	if (IS_ERR(rq)) {
		if (blk_queue_dying(queue))
			return -ENODEV;
		/* Only a caller that waits wakes a suspended device up by itself. */
		if (blk_queue_pm_only(queue) && queue->dev)
			pm_request_resume(queue->dev);
		return PTR_ERR(rq);
	}
	if (t->polled && rq->mq_hctx->type != HCTX_TYPE_POLL) {
		blk_mq_free_request(rq);
		return -EOPNOTSUPP;
	}
	rq->end_io = read_done;
	rq->end_io_data = t;
	t->fresh = true;
	t->request = rq;
	return 0;
}

/* Gives the request back to its queue. Works wherever a completion runs. */
static void release(struct exo_traversal *t)
{
	struct request *rq = t->request;

	if (!rq)
		return;
	t->request = NULL;
	rq->end_io = NULL;
	rq->end_io_data = NULL;
	blk_mq_free_request(rq);
}

/* ---- reissue ---- */

/*
 * Whether somebody is short of what the request holds: its tags, the driver's room, or the turn of
 * requests that are queued, which comes when one is freed. A traversal of many hops would keep it
 * from them for long, so it queues up again like everybody else.
 */
static bool wanted(const struct exo_traversal *t)
{
	const struct request *rq = t->request;
	const struct blk_mq_hw_ctx *hctx = rq->mq_hctx;

	if (atomic_read(&t->volume->waiting) ||
	    test_bit(BLK_MQ_S_SCHED_RESTART, &hctx->state) ||
	    atomic_read(&hctx->tags->bitmap_tags.ws_active))
		return true;
	return rq->rq_flags & RQF_SCHED_TAGS &&
	       atomic_read(&hctx->sched_tags->bitmap_tags.ws_active);
}

/* Traversals that find no room do not show in the block layer's own count of who waits. */
static void set_waiting(struct exo_traversal *t, bool waiting)
{
	if (t->waiting == waiting)
		return;
	t->waiting = waiting;
	if (waiting)
		atomic_inc(&t->volume->waiting);
	else
		atomic_dec(&t->volume->waiting);
}

/*
 * Whether the request may be used once more. If not, it must be given back at once, which is what
 * somebody who freezes the queue is waiting for.
 */
static bool reusable(struct exo_traversal *t)
{
	struct request *rq = t->request;
	struct request_queue *q = rq->q;

	/* Drivers with a dispatch budget (SCSI) expect it to be taken for every issue. */
	if (q->mq_ops->get_budget || percpu_ref_is_dying(&q->q_usage_counter))
		return false;
	/* The hardware queue's last CPU is going offline and waits for us. */
	if (test_bit(BLK_MQ_S_INACTIVE, &rq->mq_hctx->state) || wanted(t))
		return false;
	/*
	 * The timeout handler may be looking at the read that just completed. It must not find the
	 * next one under the same request, so a request that somebody else holds is not used again.
	 * Whoever takes a reference after this point sees the idle state or the next read's
	 * deadline.
	 *
	 * The state, set when the read completed or could not be issued, comes before the look at
	 * the reference; the handler does it the other way round.
	 */
	smp_mb();
	return atomic_read(&rq->ref) == 1;
}

/* Resets what the read before has left behind. */
static void prepare_reissue(struct exo_traversal *t)
{
	struct request *rq = t->request;
	u64 now;

	/*
	 * RQF_DONTPREP is a driver's mark that its part of the request is set up, for the read
	 * before. The block layer reads it too: a marked request that the driver requeues goes
	 * around the scheduler. The scheduler has finished with ours, so where there is one and the
	 * driver does not use the mark, we set it.
	 */
	rq->rq_flags &= ~(RQF_DONTPREP | RQF_TIMED_OUT);
	if (rq->rq_flags & RQF_SCHED_TAGS && !t->driver_preps)
		rq->rq_flags |= RQF_DONTPREP;

	if (rq->rq_flags & (RQF_IO_STAT | RQF_STATS)) {
		now = ktime_get_ns();
		rq->start_time_ns = now;
#ifdef CONFIG_BLK_RQ_ALLOC_TIME
		if (rq->alloc_time_ns)
			rq->alloc_time_ns = now;
#endif
	}
	prepare(t, false);
}

/* The disk's count of reads in flight; the completion takes it back and adds everything else. */
static void account(struct request *rq, bool begin)
{
	if (!(rq->rq_flags & RQF_IO_STAT) || !rq->part)
		return;
	part_stat_lock();
	if (begin)
		part_stat_local_inc(rq->part, in_flight[0]);
	else
		part_stat_local_dec(rq->part, in_flight[0]);
	part_stat_unlock();
}

static bool dispatch_stopped(const struct blk_mq_hw_ctx *hctx)
{
	return blk_queue_quiesced(hctx->queue) || test_bit(BLK_MQ_S_STOPPED, &hctx->state);
}

static blk_status_t queue_rq_unless_stopped(struct request *rq)
{
	const struct blk_mq_queue_data bd = { .rq = rq, .last = true };
	struct blk_mq_hw_ctx *hctx = rq->mq_hctx;
	blk_status_t status;

	if (dispatch_stopped(hctx))
		return BLK_STS_RESOURCE;
	account(rq, true);
	status = rq->q->mq_ops->queue_rq(hctx, &bd);
	if (status)
		account(rq, false);
	return status;
}

/* Whoever quiesces the queue waits for these read sides, as for the block layer's own. */
static blk_status_t dispatch(struct request *rq)
{
	struct blk_mq_tag_set *set = rq->q->tag_set;
	blk_status_t status;
	int index;

	if (set->flags & BLK_MQ_F_BLOCKING) {
		index = srcu_read_lock(set->srcu);
		status = queue_rq_unless_stopped(rq);
		srcu_read_unlock(set->srcu, index);
	} else {
		rcu_read_lock();
		status = queue_rq_unless_stopped(rq);
		rcu_read_unlock();
	}
	return status;
}

/* ---- issue ---- */

static bool no_room(blk_status_t status)
{
	return status == BLK_STS_RESOURCE || status == BLK_STS_DEV_RESOURCE;
}

/* After this the traversal may be driven by its completion, unless handed_over() says otherwise. */
static void hand_over(struct exo_traversal *t)
{
	atomic_set(&t->phase, t->polled ? EXO_PHASE_ISSUED : EXO_PHASE_ISSUING);
}

static enum exo_issue_result handed_over(struct exo_traversal *t)
{
	/* A poller drives its traversal to the end, so it may look at it at any time. */
	if (t->polled ||
	    atomic_cmpxchg(&t->phase, EXO_PHASE_ISSUING, EXO_PHASE_ISSUED) == EXO_PHASE_ISSUING)
		return EXO_ISSUE_GONE;
	/* A failed exchange orders nothing by itself; what the completion wrote must be seen. */
	smp_acquire__after_ctrl_dep();
	atomic_set(&t->phase, EXO_PHASE_OWNED);
	return EXO_ISSUE_ARRIVED;
}

static enum exo_issue_result failed(struct exo_traversal *t, enum exo_end cause, int error)
{
	t->cause = cause;
	t->error = error;
	return EXO_ISSUE_FAILED;
}

static enum exo_issue_result reissue(struct exo_traversal *t)
{
	struct exo_volume *volume = t->volume;
	struct request *rq = t->request;
	blk_status_t status;

	prepare_reissue(t);
	hand_over(t);
	status = dispatch(rq);
	/* The traversal may be gone. RCU keeps the volume's memory while we are in an interrupt. */
	check_driver(volume);
	if (!status)
		return handed_over(t);

	atomic_set(&t->phase, EXO_PHASE_OWNED);
	WRITE_ONCE(rq->state, MQ_RQ_IDLE);
	if (no_room(status))
		return EXO_ISSUE_DEFER;
	return failed(t, EXO_END_IO, blk_status_to_errno(status));
}

static enum exo_issue_result issue_fresh(struct exo_traversal *t)
{
	blk_status_t status;
	int ret;

	ret = allocate(t);
	set_waiting(t, ret == -EAGAIN);
	if (ret == -EAGAIN)
		return EXO_ISSUE_BUSY;
	if (ret)
		return failed(t, EXO_END_NO_REQUEST, ret);
	prepare(t, true);

	hand_over(t);
	status = blk_insert_cloned_request(t->request);
	if (!status)
		return handed_over(t);
	atomic_set(&t->phase, EXO_PHASE_OWNED);
	bio_uninit(&t->bio);
	if (!no_room(status))
		return failed(t, EXO_END_IO, blk_status_to_errno(status));
	release(t);
	set_waiting(t, true);
	return EXO_ISSUE_BUSY;
}

static u32 *counter(struct exo_traversal *t, enum exo_context context)
{
	if (!t->first)
		return &t->first;
	switch (context) {
	case EXO_CONTEXT_WORKER:
		return &t->deferred;
	case EXO_CONTEXT_POLLER:
		return &t->poll_issued;
	default:
		return &t->direct;
	}
}

static enum exo_issue_result issue(struct exo_traversal *t, enum exo_context context)
{
	enum exo_issue_result result;

	if (t->request) {
		result = reissue(t);
		if (result != EXO_ISSUE_DEFER || context == EXO_CONTEXT_COMPLETION)
			return result;
		release(t);
	}
	return issue_fresh(t);
}

/*
 * Root may shrink the partition or the queue's limits under us. The block layer checks both before
 * the entry points that we use.
 */
static bool in_bounds(const struct exo_traversal *t)
{
	const struct exo_volume *volume = t->volume;

	return t->disk_offset + t->piece_len <= bdev_nr_bytes(volume->bdev) &&
	       t->piece_len >> SECTOR_SHIFT <= queue_max_sectors(volume->queue);
}

/**
 * exo_issue() - read the piece that is due
 * @t: driven by the caller, with no read in flight
 * @context: of the caller
 *
 * Context: as @context says; sleeps only where the driver's queue_rq() does.
 * Return: with EXO_ISSUE_GONE the traversal must not be touched any more, except by a poller.
 */
enum exo_issue_result exo_issue(struct exo_traversal *t, enum exo_context context)
{
	enum exo_issue_result result;
	u32 *count;

	t->holes_in_a_row = 0;
	if (!in_bounds(t))
		return failed(t, EXO_END_IO, -EIO);
	if (t->request && !reusable(t))
		release(t);
	if (context == EXO_CONTEXT_COMPLETION &&
	    (!t->request || !exo_issue_direct_allowed() || !READ_ONCE(t->volume->direct) ||
	     !no_lock_held_here()))
		return EXO_ISSUE_DEFER;

	/* Counted before, since afterwards the traversal may be gone. */
	count = counter(t, context);
	++*count;
	result = issue(t, context);
	if (result == EXO_ISSUE_DEFER || result == EXO_ISSUE_BUSY || result == EXO_ISSUE_FAILED)
		--*count;
	return result;
}

/**
 * exo_issue_hole() - the piece that is due needs no read
 * @t: driven by the caller, with no read in flight
 *
 * A traversal that wanders through holes must not keep a request that others could use.
 *
 * Context: any in which a completion runs.
 */
void exo_issue_hole(struct exo_traversal *t)
{
	if (t->request && (++t->holes_in_a_row > EXO_HOLES_WITH_REQUEST || !reusable(t)))
		release(t);
}

/**
 * exo_issue_end() - the traversal reads no more
 * @t: driven by the caller, with no read in flight
 *
 * Context: any in which a completion runs.
 */
void exo_issue_end(struct exo_traversal *t)
{
	release(t);
	set_waiting(t, false);
	bio_uninit(&t->bio);
}

/**
 * exo_issue_poll() - look once for completions on the hardware queue of a polled read
 * @t: driven by the caller, with a read in flight
 *
 * Context: process.
 */
void exo_issue_poll(struct exo_traversal *t)
{
	struct request *rq = t->request;

	rq->q->mq_ops->poll(rq->mq_hctx, NULL);
}
