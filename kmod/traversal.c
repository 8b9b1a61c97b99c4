// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine of a traversal and the ioctl that runs one. How a read gets to the device and
 * back is issue.c's.
 *
 * The engine (everything from exo_traversal_run() to end()) runs in any context, hard interrupt
 * included, and allocates nothing.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "audit.h"
#include "extent_map.h"
#include "grant.h"
#include "ioctl.h"
#include "issue.h"
#include "limits.h"
#include "pin.h"
#include "program_ops.h"
#include "stats.h"
#include "trace.h"
#include "traversal.h"
#include "volume.h"

static struct kmem_cache *cache;
static struct workqueue_struct *workers;

/* ---- the engine ---- */

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
	if (exo_pin_is_cut(t->grant->pin))
		return EXO_END_REVOKED;
	if (READ_ONCE(t->cancel))
		return EXO_END_CANCELLED;
	if (READ_ONCE(t->program->detaching))
		return EXO_END_DETACHED;
	if (time_after(jiffies, t->deadline))
		return EXO_END_TIMEOUT;
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

static void traversal_free(struct exo_traversal *t);

static void free_work(struct work_struct *work)
{
	traversal_free(container_of(work, struct exo_traversal, work));
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
		traversal_free(t);
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
	complete(&t->done);
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
	if (context != EXO_CONTEXT_WORKER && fatal_signal_pending(current))
		WRITE_ONCE(t->cancel, true);
}

/*
 * The queue or the driver has no room for the read that is due. A worker leaves, because the pool
 * has others to serve; the caller sleeps, but never longer than one pause at a time. Returns false
 * when the traversal has ended instead, true when the caller may try again or has left.
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
	if (context == EXO_CONTEXT_WORKER) {
		t->arrived = false;
		hrtimer_start(&t->retry, ns_to_ktime((u64)pause_us * NSEC_PER_USEC), HRTIMER_MODE_REL);
	} else {
		usleep_range(pause_us, 2 * pause_us);
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
				if (context == EXO_CONTEXT_WORKER)
					return;
				arrived = false;
				continue;
			case EXO_ISSUE_FAILED:
				end(t, context);
				return;
			}
		}
		arrived = true;
		if (context == EXO_CONTEXT_COMPLETION) {
			if (++burst < EXO_INTERRUPT_BURST)
				continue;
			defer(t, true);
			return;
		}
		note_signal(t, context);
		cond_resched();
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

static void run_work(struct work_struct *work)
{
	struct exo_traversal *t = container_of(work, struct exo_traversal, work);

	exo_traversal_run(t, EXO_CONTEXT_WORKER, t->arrived);
}

/* ---- the caller's side ---- */

static int check_request(const struct exo_grant *grant, const struct exo_traverse *arg)
{
	const struct exo_volume *volume = grant->pin->volume;

	if (arg->flags & ~EXO_TRAVERSE_POLLED || arg->reserved)
		return -EINVAL;
	if (!arg->hop_bytes || arg->hop_bytes > EXO_MAX_HOP_BYTES ||
	    arg->hop_bytes & (volume->block_bytes - 1))
		return -EINVAL;
	if (arg->args_len > EXO_MAX_ARGS_BYTES || arg->result_len > EXO_MAX_RESULT_BYTES)
		return -E2BIG;
	if (arg->flags & EXO_TRAVERSE_POLLED && !volume->pollable)
		return -EOPNOTSUPP;
	return 0;
}

static bool own_verdict(const struct exo_traversal *t)
{
	return t->cause == EXO_END_DONE || t->cause == EXO_END_PROGRAM;
}

static void traversal_free(struct exo_traversal *t)
{
	if (t->ran && !own_verdict(t))
		exo_audit_as(&(struct exo_audit_event){
			.type = EXO_AUDIT_TRAVERSAL_FAILED,
			.error = t->error,
			.cause = t->cause,
			.volume_id = t->volume->id,
			.ino = t->grant->pin->ino,
			.generation = t->grant->pin->generation,
			.grant_id = t->grant->id,
			.program_id = t->program_id,
			.hop = t->hops,
			.file_offset = t->offset,
			.length = t->len,
		}, &t->actor);
	/* It has run out long ago, but its handler may still be on its way out. */
	hrtimer_cancel(&t->retry);
	kvfree(t->area);
	if (t->buffer)
		free_pages_exact(t->buffer, t->hop_bytes);
	exo_grant_put(t->grant);
	kmem_cache_free(cache, t);
}

/* Ends that are not the program's own verdict are recorded, under the name of whoever waited. */
static void caller_put(struct exo_traversal *t, bool ended)
{
	if (!ended || !own_verdict(t))
		exo_actor_current(&t->actor);
	if (refcount_dec_and_test(&t->refs))
		traversal_free(t);
}

static int copy_areas(struct exo_traversal *t, const struct exo_traverse *arg)
{
	size_t args_at = ALIGN(arg->result_len, 8);
	size_t bytes = args_at + arg->args_len;

	if (!bytes)
		return 0;
	t->area = kvmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!t->area)
		return -ENOMEM;
	t->result = t->area;
	t->args = t->area + args_at;
	t->result_len = arg->result_len;
	t->args_len = arg->args_len;
	memset(t->result, 0, args_at);
	return copy_from_user(t->args, u64_to_user_ptr(arg->args), arg->args_len) ? -EFAULT : 0;
}

static struct exo_traversal *traversal_create(struct exo_grant *grant,
					      const struct exo_traverse *arg)
{
	struct exo_volume *volume = grant->pin->volume;
	struct exo_traversal *t;
	u32 timeout_ms = min(arg->timeout_ms ?: EXO_DEFAULT_TIMEOUT_MS, EXO_MAX_TIMEOUT_MS);
	int ret;

	t = kmem_cache_zalloc(cache, GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	exo_grant_get(grant);
	t->grant = grant;
	t->volume = volume;
	t->program_id = arg->program_id;
	t->hop_bytes = arg->hop_bytes;
	t->hop_limit = min(arg->hop_limit ?: grant->hop_limit, grant->hop_limit);
	t->polled = arg->flags & EXO_TRAVERSE_POLLED;
	t->deadline = jiffies + msecs_to_jiffies(timeout_ms);
	t->offset = arg->start_offset;
	t->len = arg->hop_bytes - (arg->start_offset & (volume->block_bytes - 1));
	INIT_WORK(&t->work, run_work);
	hrtimer_init(&t->retry, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	t->retry.function = retry_now;
	t->pause_us = EXO_RETRY_MIN_US;
	init_completion(&t->done);
	refcount_set(&t->refs, 2);

	/* Zeroed, because a device that answers short must not show what the page held before. */
	ret = -ENOMEM;
	t->buffer = alloc_pages_exact(t->hop_bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!t->buffer)
		goto err_free;
	ret = copy_areas(t, arg);
	if (ret)
		goto err_free;

	t->context.hop = (struct exo_hop){
		.offset = t->offset,
		.file_size = grant->pin->size_bytes,
		.range_start = grant->range_start,
		.range_end = grant->range_end,
		.hops_left = t->hop_limit,
		.args_len = t->args_len,
		.result_len = t->result_len,
		.logical_block_bytes = volume->block_bytes,
	};
	return t;

err_free:
	traversal_free(t);
	return ERR_PTR(ret);
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

static void start(struct exo_traversal *t)
{
	enum exo_context context = t->polled ? EXO_CONTEXT_POLLER : EXO_CONTEXT_CALLER;

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

/* Spins until the end. A killed caller spins on, since nobody else looks for the completion. */
static void poll_to_end(struct exo_traversal *t)
{
	while (!t->ended) {
		if (atomic_read_acquire(&t->phase) == EXO_PHASE_ARRIVED) {
			atomic_set(&t->phase, EXO_PHASE_OWNED);
			exo_traversal_run(t, EXO_CONTEXT_POLLER, true);
			continue;
		}
		if (fatal_signal_pending(current))
			WRITE_ONCE(t->cancel, true);
		exo_issue_poll(t);
		if (need_resched())
			cond_resched();
		else
			cpu_relax();
	}
}

/* Waits for the end; a killed caller gives its read a moment and leaves the rest to the engine. */
static int wait_for_end(struct exo_traversal *t)
{
	if (t->polled) {
		poll_to_end(t);
		return 0;
	}
	if (!wait_for_completion_killable(&t->done))
		return 0;
	WRITE_ONCE(t->cancel, true);
	return wait_for_completion_timeout(&t->done, msecs_to_jiffies(EXO_CANCEL_WAIT_MS)) ? 0 :
		-EINTR;
}

static int copy_out(const struct exo_traversal *t, struct exo_traverse *arg)
{
	arg->outcome = (struct exo_outcome){
		.cause = t->cause,
		.error = t->error,
		.value = t->value,
		.hops = t->hops,
		.result_len = t->result_valid,
		.file_offset = t->offset,
		.direct = t->direct,
		.deferred = t->deferred,
		.polled = t->poll_issued,
		.holes = t->holes,
		.elapsed_ns = t->elapsed_ns,
	};
	return copy_to_user(u64_to_user_ptr(arg->result), t->result, t->result_valid) ? -EFAULT : 0;
}

/**
 * exo_traversal_ioctl() - serve EXO_GRANT_TRAVERSE
 * @call: argument struct exo_traverse
 *
 * Context: process, may sleep.
 */
int exo_traversal_ioctl(struct exo_ioctl_call *call)
{
	struct exo_traverse *arg = call->arg;
	struct exo_grant *grant = call->file->private_data;
	struct exo_program *program;
	struct exo_traversal *t;
	int ret;

	/* A cut grant is cut before anything else, since its volume's device may be gone. */
	ret = exo_grant_enter(grant);
	if (ret)
		return ret;
	ret = check_request(grant, arg);
	if (ret)
		goto err_leave;
	ret = -ENOENT;
	program = exo_program_get(arg->program_id);
	if (!program)
		goto err_leave;
	t = traversal_create(grant, arg);
	if (IS_ERR(t)) {
		ret = PTR_ERR(t);
		goto err_program;
	}
	t->program = program;
	/* The engine gives program and grant back at the traversal's end. */
	start(t);
	ret = wait_for_end(t);
	if (ret) {
		caller_put(t, false);
		return ret;
	}
	ret = copy_out(t, arg);
	caller_put(t, true);
	return ret;

err_program:
	exo_program_put(program);
err_leave:
	exo_grant_leave(grant);
	return ret;
}

int __init exo_traversal_init(void)
{
	cache = KMEM_CACHE(exo_traversal, SLAB_HWCACHE_ALIGN);
	if (!cache)
		return -ENOMEM;
	/* On the CPU whose completion asks, at high priority: the application waits for it. */
	workers = alloc_workqueue("exo", WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!workers) {
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
	return 0;
}

/**
 * exo_traversal_exit() - undo exo_traversal_init()
 *
 * No grant is open and no volume attached, so nothing is in flight. Traversals whose callers left
 * early may still wait to be freed, and the last completions may still be on their way out of our
 * code.
 */
void exo_traversal_exit(void)
{
	/* Out of interrupts, and out of tasks that were preempted on their way. */
	synchronize_rcu();
	synchronize_rcu_tasks();
	destroy_workqueue(workers);
	kmem_cache_destroy(cache);
}
