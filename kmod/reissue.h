/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When a request that a read has kept may be issued again, and what that takes: shared by request.c
 * and hop.c. Reissue goes through the driver's queue_rq() under the same RCU protection as the block
 * layer's own dispatch, so that quiescing the queue stops us too. The block layer's entry points
 * would be wrong: they may hand the request to a scheduler that has already been told that it
 * finished.
 */
#ifndef EXO_REISSUE_H
#define EXO_REISSUE_H

#include <linux/blk-mq.h>
#include <linux/ktime.h>
#include <linux/part_stat.h>
#include <linux/sched.h>

#include "read.h"
#include "request.h"
#include "traversal.h"
#include "volume.h"

/* Whether this is a hard interrupt that interrupted no holder of a lock, as said below. */
static __always_inline bool exo_reissue_no_lock_interrupted(void)
{
	return preempt_count() == HARDIRQ_OFFSET + (is_idle_task(current) ? 1 : 0);
}

/*
 * Drivers take their submission lock with a plain spin_lock(), so issuing from an interrupt
 * deadlocks if the interrupted code, or the interrupt handler itself (virtio_blk), holds that lock.
 * Holding a spinlock raises the preemption count; so a hard interrupt that finds nothing but itself
 * in the count, or nothing but the idle task's own, interrupted no lock holder and holds none. In a
 * task the count must be zero.
 *
 * It must not be spin_lock_irq() either, whose unlock lets interrupts into an interrupt handler.
 * The drivers that are made for process context use it; see exo_request_volume_direct().
 */
static __always_inline bool exo_reissue_no_lock_held(void)
{
	if (in_hardirq())
		return exo_reissue_no_lock_interrupted();
	return !preempt_count() && !irqs_disabled();
}

/* States of a hardware queue: its last CPU is going offline and waits for us, or see below. */
#define EXO_REISSUE_NOT_IF	(BIT(BLK_MQ_S_INACTIVE) | BIT(BLK_MQ_S_SCHED_RESTART))

/*
 * Whether somebody is short of what the request holds: its tags, the driver's room, or (by the
 * hardware queue's state) the turn of requests that are queued, which comes when one is freed. A
 * traversal of many hops would keep it from them for long, so it queues up again like everybody
 * else.
 */
static __always_inline bool exo_reissue_wanted(const struct exo_volume *volume,
					       const struct request *rq, bool polled)
{
	const struct blk_mq_hw_ctx *hctx = rq->mq_hctx;

	if (atomic_read(&volume->fair->wanting[polled]) || atomic_read(&hctx->tags->bitmap_tags.ws_active))
		return true;
	return rq->rq_flags & RQF_SCHED_TAGS &&
	       atomic_read(&hctx->sched_tags->bitmap_tags.ws_active);
}

/*
 * The timeout handler may be looking at the read that just completed. It must not find the next one
 * under the same request, so a request that somebody else holds is not used again. Whoever takes a
 * reference after this point sees the idle state or the next read's deadline.
 */
static __always_inline bool exo_reissue_is_ours_alone(const struct request *rq)
{
	/*
	 * The state, set when the read completed or could not be issued, comes before the look at
	 * the reference; the handler does it the other way round.
	 */
	smp_mb();
	return atomic_read(&rq->ref) == 1;
}

/*
 * Whether the request may be used once more. If not, it must be given back at once, which is what
 * somebody who freezes the queue is waiting for.
 */
static __always_inline bool exo_reissue_possible(struct exo_read *r)
{
	struct request *rq = r->request;
	struct request_queue *q = rq->q;

	/* The read before was of another volume. */
	if (q != r->volume->queue)
		return false;
	/* Of SCSI. */
	if (exo_request_needs_budget(q) || percpu_ref_is_dying(&q->q_usage_counter))
		return false;
	/* Requeued, and then completed without having been given to the driver again. */
	if (unlikely(rq->tag < 0))
		return false;
	if (READ_ONCE(rq->mq_hctx->state) & EXO_REISSUE_NOT_IF ||
	    exo_reissue_wanted(r->volume, rq, exo_traversal_polled(r->traversal)))
		return false;
	return exo_reissue_is_ours_alone(rq);
}

/*
 * The same, and whether it may be issued right now, for a traversal of one volume and a driver
 * without a budget. Inside of the read side that exo_reissue_queue() needs.
 */
static __always_inline bool exo_reissue_possible_now(const struct exo_volume *volume,
						     const struct request *rq, bool polled)
{
	struct request_queue *q = rq->q;

	return !percpu_ref_is_dying(&q->q_usage_counter) && !blk_queue_quiesced(q) &&
	       rq->tag >= 0 &&
	       !(READ_ONCE(rq->mq_hctx->state) & (EXO_REISSUE_NOT_IF | BIT(BLK_MQ_S_STOPPED))) &&
	       !exo_reissue_wanted(volume, rq, polled) && exo_reissue_is_ours_alone(rq);
}

/*
 * Now, as the block layer will tell it when the read completes. While a task has a plug, the clock
 * that it charges by stands still; a read that completes within its submission, and began by another
 * clock, would have taken less than no time.
 */
static __always_inline u64 exo_reissue_time(void)
{
	const struct blk_plug *plug = current->plug;
	u64 stopped = unlikely(plug) && in_task() ? READ_ONCE(plug->cur_ktime) : 0;

	return stopped ?: ktime_get_ns();
}

/* Takes back what the read before has left in the request, and starts its time anew. */
static __always_inline void exo_reissue_reset(const struct exo_read *r, struct request *rq)
{
	u64 now;

	/*
	 * RQF_DONTPREP is a driver's mark that its part of the request is set up, for the read
	 * before. The block layer reads it too: a marked request that the driver requeues goes
	 * around the scheduler. The scheduler has finished with ours, so where there is one and the
	 * driver does not use the mark, we set it.
	 */
	rq->rq_flags &= ~(RQF_DONTPREP | RQF_TIMED_OUT);
	if (rq->rq_flags & RQF_SCHED_TAGS && !r->driver_preps)
		rq->rq_flags |= RQF_DONTPREP;

	if (rq->rq_flags & (RQF_IO_STAT | RQF_STATS)) {
		now = exo_reissue_time();
		rq->start_time_ns = now;
#ifdef CONFIG_BLK_RQ_ALLOC_TIME
		if (rq->alloc_time_ns)
			rq->alloc_time_ns = now;
#endif
	}
}

/*
 * The disk's count of reads in flight; the completion takes it back and adds everything else.
 * Without preemption.
 */
static __always_inline void exo_reissue_account(struct request *rq, bool begin)
{
	if (!(rq->rq_flags & RQF_IO_STAT) || !rq->part)
		return;
	if (begin)
		part_stat_local_inc(rq->part, in_flight[0]);
	else
		part_stat_local_dec(rq->part, in_flight[0]);
}

static __always_inline blk_status_t exo_reissue_to_driver(struct request *rq)
{
	const struct blk_mq_queue_data bd = { .rq = rq, .last = true };

	return rq->q->mq_ops->queue_rq(rq->mq_hctx, &bd);
}

/* Gives the request to its driver, inside of a read side that whoever quiesces the queue waits for. */
static __always_inline blk_status_t exo_reissue_queue(struct request *rq)
{
	blk_status_t status;

	part_stat_lock();
	exo_reissue_account(rq, true);
	part_stat_unlock();
	status = exo_reissue_to_driver(rq);
	if (unlikely(status)) {
		part_stat_lock();
		exo_reissue_account(rq, false);
		part_stat_unlock();
	}
	return status;
}

/* The same, where that read side is that preemption or interrupts are off. */
static __always_inline blk_status_t exo_reissue_queue_here(struct request *rq)
{
	blk_status_t status;

	exo_reissue_account(rq, true);
	status = exo_reissue_to_driver(rq);
	if (unlikely(status))
		exo_reissue_account(rq, false);
	return status;
}

/* Looks once for completions of polled requests. */
static __always_inline void exo_reissue_poll(const struct request *rq)
{
	rq->q->mq_ops->poll(rq->mq_hctx, NULL);
}

static __always_inline bool exo_reissue_stopped(const struct blk_mq_hw_ctx *hctx)
{
	return blk_queue_quiesced(hctx->queue) || test_bit(BLK_MQ_S_STOPPED, &hctx->state);
}

/*
 * Root may shrink the partition or the queue's limits under us. The block layer checks both before
 * the entry points that a first issue uses.
 */
static __always_inline bool exo_reissue_in_bounds(const struct exo_volume *volume, u64 disk_offset,
						  u32 len)
{
	return disk_offset + len <= bdev_nr_bytes(volume->bdev) &&
	       len >> SECTOR_SHIFT <= queue_max_sectors(volume->queue);
}

#endif /* EXO_REISSUE_H */
