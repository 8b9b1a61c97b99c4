// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine of a traversal. How a read gets to the device and back is issue.c's, how a
 * caller's request becomes a traversal traverse.c's.
 *
 * Everything here runs in any context, hard interrupt included, and allocates nothing.
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>

#include "extent_map.h"
#include "grant.h"
#include "issue.h"
#include "limits.h"
#include "pin.h"
#include "program_ops.h"
#include "stats.h"
#include "trace.h"
#include "traversal.h"
#include "traverse.h"
#include "volume.h"

static struct workqueue_struct *workers;

static bool finish_with(struct exo_traversal *t, enum exo_end cause, int error)
{
	t->cause = cause;
	t->error = error;
	return false;
}

/* Finds the place of the piece at t->piece_at. */
static void next_piece(struct exo_traversal *t)
{
	const struct exo_volume *volume = t->volume;
	struct exo_run run = exo_extent_map_find(&t->grant->pin->map,
						 t->window_start + t->piece_at);

	t->piece_len = min3(run.len, (u64)t->window_len - t->piece_at, (u64)volume->max_read_bytes);
	/* A piece that does not begin where a segment does may take one more. */
	if (unlikely(t->piece_at))
		t->piece_len = min(t->piece_len,
				   volume->segments_bytes - t->piece_at % volume->segment_bytes);
	t->disk_offset = run.target;
	t->hole = run.hole;
}

/* Checks the read at t->offset, t->len and finds its place; false = the traversal has ended. */
static bool place(struct exo_traversal *t)
{
	u64 mask = t->volume->block_bytes - 1;
	enum exo_end refusal;

	refusal = exo_grant_check_read(t->grant, t->offset, t->len, t->hop_bytes,
				       t->volume->block_bytes);
	if (refusal != EXO_END_DONE)
		return finish_with(t, refusal, 0);

	t->window_start = t->offset & ~mask;
	t->window_len = ((t->offset + t->len + mask) & ~mask) - t->window_start;
	t->piece_at = 0;
	t->read_device = false;
	next_piece(t);
	return true;
}

/* Acts on what start or step returned; true = the next read stands in t. */
static bool take_verdict(struct exo_traversal *t, int verdict)
{
	if (verdict == EXO_DONE)
		return finish_with(t, EXO_END_DONE, 0);
	if (verdict < 0 && verdict >= -MAX_ERRNO)
		return finish_with(t, EXO_END_PROGRAM, verdict);
	if (verdict != EXO_NEXT || !t->wish)
		return finish_with(t, EXO_END_BAD_VERDICT, 0);
	t->offset = t->wish_offset;
	t->len = t->wish_len;
	if (t->hops >= t->hop_limit)
		return finish_with(t, EXO_END_HOP_LIMIT, 0);
	return place(t);
}

/* Why a traversal must not go on, whatever its program wants. */
static enum exo_end stopped(const struct exo_traversal *t)
{
	if (exo_grant_is_cut(t->grant))
		return EXO_END_REVOKED;
	if (READ_ONCE(t->cancel))
		return EXO_END_CANCELLED;
	if (READ_ONCE(t->program->detaching))
		return EXO_END_DETACHED;
	if (time_after(jiffies, t->deadline))
		return t->grant_expires ? EXO_END_EXPIRED : EXO_END_TIMEOUT;
	return EXO_END_DONE;
}

/*
 * With interrupts off, because the completion of another traversal would otherwise run the program
 * in the middle of itself, and its per-CPU maps would mix what belongs to two users.
 */
static int call(struct exo_traversal *t, int (*member)(struct exo_hop_context *context))
{
	unsigned long flags;
	int verdict;

	local_irq_save(flags);
	verdict = member(&t->context);
	local_irq_restore(flags);
	return verdict;
}

static void call_finish(struct exo_traversal *t)
{
	unsigned long flags;

	local_irq_save(flags);
	t->program->ops->finish(&t->context);
	local_irq_restore(flags);
}

/* Copies a block for the caller if there is room for all of it. */
static void record_block(struct exo_traversal *t, const u8 *block, u32 len)
{
	u32 head = 0, at = 0;

	if (t->record & EXO_TRAVERSE_ALL_BLOCKS) {
		/* One that was left out leaves out all after it. */
		if (t->blocks_recorded != t->context.hop.hop)
			return;
		at = ALIGN(t->blocks_len, sizeof(u64));
		head = sizeof(struct exo_block_header);
	}
	if (at + head + len > t->blocks_room) {
		if (!head)
			t->blocks_len = t->blocks_recorded = 0;
		return;
	}
	if (head)
		*(struct exo_block_header *)(t->blocks + at) = (struct exo_block_header){
			.file_offset = t->offset,
			.len = len,
			.hop = t->context.hop.hop,
		};
	memcpy(t->blocks + at + head, block, len);
	t->blocks_len = at + head + len;
	t->blocks_recorded = head ? t->blocks_recorded + 1 : 1;
}

/* Hands the block that is complete to the program; true = the next read stands in t. */
static bool step(struct exo_traversal *t)
{
	struct exo_hop *hop = &t->context.hop;
	u8 *block = t->buffer + (t->offset - t->window_start);
	u32 valid;
	int verdict;

	if (!t->read_device)
		t->holes++;
	/* What the device holds behind the end of the file is nobody's business. */
	valid = min_t(u64, t->len, hop->file_size - t->offset);
	if (unlikely(valid < t->len))
		memset(block + valid, 0, t->len - valid);

	hop->offset = t->offset;
	hop->len = valid;
	hop->hop = t->hops++;
	hop->hops_left = t->hop_limit - t->hops;
	t->block = block;
	t->block_len = t->len;
	t->wish = false;
	if (t->record)
		record_block(t, block, valid);

	verdict = call(t, t->program->ops->step);
	trace_exo_hop(t->grant->id, hop->hop, t->offset, t->len, !t->read_device, verdict);
	return take_verdict(t, verdict);
}

static void answer_hole(struct exo_traversal *t)
{
	memset(t->buffer + t->piece_at, 0, t->piece_len);
	t->status = BLK_STS_OK;
}

/* Takes the piece that arrived; true = the next one, of this read or of another, is due. */
static bool take_piece(struct exo_traversal *t)
{
	enum exo_end stop;

	if (t->status)
		return finish_with(t, EXO_END_IO, blk_status_to_errno(t->status));
	if (!t->hole) {
		t->bytes += t->piece_len;
		t->read_device = true;
	}
	stop = stopped(t);
	if (stop != EXO_END_DONE)
		return finish_with(t, stop, 0);
	t->pause_us = EXO_RETRY_MIN_US;
	t->piece_at += t->piece_len;
	if (t->piece_at == t->window_len)
		return step(t);
	next_piece(t);
	return true;
}

static void count_end(const struct exo_traversal *t)
{
	struct exo_grant *grant = t->grant;

	atomic64_add(t->hops, &grant->hops);
	atomic64_add(t->bytes, &grant->bytes);
	exo_count_add(hops, t->hops);
	exo_count_add(issued_first, t->first);
	exo_count_add(issued_direct, t->direct);
	exo_count_add(issued_polled, t->poll_issued);
	exo_count_add(issued_deferred, t->deferred);
	exo_count_add(holes, t->holes);
	exo_count_add(bytes, t->bytes);
	if (t->cause == EXO_END_IO)
		exo_count(io_errors);
	if (t->cause == EXO_END_OUT_OF_RANGE || t->cause == EXO_END_OUT_OF_FILE)
		exo_count(out_of_range);
	this_cpu_add(t->program->counters->steps, t->hops);
	this_cpu_inc(t->program->counters->ended);
	exo_count(traversals_ended);
}

static void free_work(struct work_struct *work)
{
	exo_traverse_free(container_of(work, struct exo_traversal, work));
}

/* Drops the engine's reference. Only if the caller has left is it the last one. */
static void engine_put(struct exo_traversal *t, enum exo_context context)
{
	if (!refcount_dec_and_test(&t->refs))
		return;
	if (context == EXO_CONTEXT_COMPLETION) {
		INIT_WORK(&t->work, free_work);
		queue_work(workers, &t->work);
	} else {
		exo_traverse_free(t);
	}
}

static void end(struct exo_traversal *t, enum exo_context context)
{
	t->block_len = 0;
	t->finishing = true;
	if (t->program->ops->finish)
		call_finish(t);

	exo_issue_end(t);

	t->elapsed_ns = ktime_get_ns() - t->started_ns;
	trace_exo_traversal_end(t->grant->id, t->cause, t->error, t->hops, t->direct, t->deferred,
				t->elapsed_ns);
	count_end(t);
	exo_program_put(t->program);
	/* From here on blocks of the pin may be reused, and the volume's device may go. */
	exo_grant_leave(t->grant);
	t->ended = true;
	t->on_end(t);
	engine_put(t, context);
}

static void defer(struct exo_traversal *t, bool arrived)
{
	t->arrived = arrived;
	queue_work(workers, &t->work);
}

static enum hrtimer_restart retry_now(struct hrtimer *timer)
{
	struct exo_traversal *t = container_of(timer, struct exo_traversal, retry);

	queue_work(workers, &t->work);
	return HRTIMER_NORESTART;
}

static void note_signal(struct exo_traversal *t, enum exo_context context)
{
	if (context != EXO_CONTEXT_WORKER && context != EXO_CONTEXT_COMPLETION &&
	    fatal_signal_pending(current))
		WRITE_ONCE(t->cancel, true);
}

/*
 * The queue or the driver has no room for the read that is due. A caller that has nothing else to
 * do sleeps, but never longer than one pause at a time; everybody else leaves. Returns false when
 * the traversal has ended instead, true when a caller may try again or others have left.
 */
static bool pause(struct exo_traversal *t, enum exo_context context)
{
	unsigned int pause_us = t->pause_us;
	enum exo_end stop;

	note_signal(t, context);
	stop = stopped(t);
	if (stop != EXO_END_DONE)
		return finish_with(t, stop, 0);
	t->pause_us = min(2 * pause_us, EXO_RETRY_MAX_US);
	switch (context) {
	case EXO_CONTEXT_CALLER:
		usleep_range(pause_us, 2 * pause_us);
		break;
	case EXO_CONTEXT_POLLER:
		t->stalled_until_ns = ktime_get_ns() + (u64)pause_us * NSEC_PER_USEC;
		atomic_set_release(&t->phase, EXO_PHASE_STALLED);
		break;
	default:
		t->arrived = false;
		hrtimer_start(&t->retry, ns_to_ktime((u64)pause_us * NSEC_PER_USEC), HRTIMER_MODE_REL);
		break;
	}
	return true;
}

/**
 * exo_traversal_run() - drive a traversal as far as it goes in this context
 * @t: driven by the caller; must not be touched afterwards, except by a poller
 * @context: of the caller
 * @arrived: a piece has arrived; otherwise the one in @t is due
 *
 * Context: as @context says.
 */
void exo_traversal_run(struct exo_traversal *t, enum exo_context context, bool arrived)
{
	unsigned int burst = 0;

	for (;;) {
		if (arrived && !take_piece(t))
			break;
		if (t->hole) {
			exo_issue_hole(t);
			answer_hole(t);
		} else {
			switch (exo_issue(t, context)) {
			case EXO_ISSUE_GONE:
				return;
			case EXO_ISSUE_ARRIVED:
				break;
			case EXO_ISSUE_DEFER:
				defer(t, false);
				return;
			case EXO_ISSUE_BUSY:
				if (!pause(t, context)) {
					end(t, context);
					return;
				}
				if (context != EXO_CONTEXT_CALLER)
					return;
				arrived = false;
				continue;
			case EXO_ISSUE_FAILED:
				end(t, context);
				return;
			}
		}
		arrived = true;
		note_signal(t, context);
		if (context == EXO_CONTEXT_CALLER || context == EXO_CONTEXT_WORKER) {
			cond_resched();
			continue;
		}
		/* The others have more to do than to follow holes, or a device that never waits. */
		if (++burst < EXO_BURST)
			continue;
		if (context == EXO_CONTEXT_POLLER)
			atomic_set_release(&t->phase, EXO_PHASE_ARRIVED);
		else
			defer(t, true);
		return;
	}
	end(t, context);
}

/* What this CPU has spent in interrupts with traversals since the window began. */
struct interrupt_time {
	u64 window_start_ns;
	u64 spent_ns;
};

static DEFINE_PER_CPU(struct interrupt_time, interrupt_time);

/**
 * exo_traversal_arrived() - the read in flight has completed
 * @t: driven by the caller; must not be touched afterwards
 *
 * An interrupt handler that is itself interrupted by another one may count a moment twice.
 *
 * Context: the driver's completion, whatever that is.
 */
void exo_traversal_arrived(struct exo_traversal *t)
{
	struct interrupt_time *time;
	u64 begin_ns;

	/* A task can be preempted; it needs no bound, and may change the CPU. */
	if (!in_hardirq() && !in_serving_softirq()) {
		exo_traversal_run(t, EXO_CONTEXT_COMPLETION, true);
		return;
	}
	begin_ns = local_clock();
	time = this_cpu_ptr(&interrupt_time);
	if (begin_ns - time->window_start_ns >= EXO_INTERRUPT_WINDOW_NS) {
		time->window_start_ns = begin_ns;
		time->spent_ns = 0;
	}
	if (time->spent_ns >= EXO_INTERRUPT_BUDGET_NS) {
		defer(t, true);
		return;
	}
	exo_traversal_run(t, EXO_CONTEXT_COMPLETION, true);
	time->spent_ns += local_clock() - begin_ns;
}

/**
 * exo_traversal_poll() - look once for what a polled traversal is waiting for, and go on with it
 * @t: polled and started, driven by nobody else
 *
 * Context: process.
 */
void exo_traversal_poll(struct exo_traversal *t)
{
	switch (atomic_read_acquire(&t->phase)) {
	case EXO_PHASE_ARRIVED:
		atomic_set(&t->phase, EXO_PHASE_OWNED);
		exo_traversal_run(t, EXO_CONTEXT_POLLER, true);
		break;
	case EXO_PHASE_STALLED:
		if (ktime_get_ns() < t->stalled_until_ns)
			break;
		atomic_set(&t->phase, EXO_PHASE_OWNED);
		exo_traversal_run(t, EXO_CONTEXT_POLLER, false);
		break;
	default:
		exo_issue_poll(t);
		break;
	}
}

static void run_work(struct work_struct *work)
{
	struct exo_traversal *t = container_of(work, struct exo_traversal, work);

	exo_traversal_run(t, EXO_CONTEXT_WORKER, t->arrived);
}

/* The program's start may choose the first read; true = it stands in t. */
static bool first_read(struct exo_traversal *t)
{
	int verdict;

	if (!t->program->ops->start)
		return place(t);
	verdict = call(t, t->program->ops->start);
	if (verdict == EXO_NEXT && !t->wish)
		return place(t);
	return take_verdict(t, verdict);
}

/**
 * exo_traversal_start() - begin
 * @t: complete, and entered on its grant; must not be touched afterwards, except by a poller
 * @context: EXO_CONTEXT_CALLER, _SUBMITTER or, for a polled one, _POLLER
 *
 * From here on the engine gives back program and grant, and calls on_end once.
 *
 * Context: process; sleeps only as EXO_CONTEXT_CALLER.
 */
void exo_traversal_start(struct exo_traversal *t, enum exo_context context)
{
	t->started_ns = ktime_get_ns();
	t->ran = true;
	atomic64_inc(&t->grant->traversals);
	this_cpu_inc(t->program->counters->started);
	exo_count(traversals);
	trace_exo_traversal_start(t->grant->id, t->program_id, t->grant->pin->ino, t->offset,
				  t->hop_bytes);
	if (first_read(t))
		exo_traversal_run(t, context, false);
	else
		end(t, context);
}

/**
 * exo_traversal_init() - set up what the engine keeps in a traversal
 * @t: zeroed
 */
void exo_traversal_init(struct exo_traversal *t)
{
	INIT_WORK(&t->work, run_work);
	hrtimer_init(&t->retry, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	t->retry.function = retry_now;
	t->pause_us = EXO_RETRY_MIN_US;
}

int __init exo_workers_init(void)
{
	/* On the CPU whose completion asks, at high priority: the application waits for it. */
	workers = alloc_workqueue("exo", WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return workers ? 0 : -ENOMEM;
}

/* Nothing is in flight; traversals whose callers left early may still wait to be freed. */
void exo_workers_exit(void)
{
	destroy_workqueue(workers);
}
