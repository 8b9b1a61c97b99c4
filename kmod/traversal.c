// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a traversal does: its first reads, each block handed to the program, the program's verdicts,
 * and the end. Who calls this, and when, is drive.c's; how a read gets to the device and back is
 * issue.c's and submit.c's, how a caller's request becomes a traversal traverse.c's.
 *
 * Everything here runs in any context, hard interrupt included, and allocates nothing.
 */
#include <linux/bitops.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "budget.h"
#include "cache.h"
#include "clock.h"
#include "grant.h"
#include "issue.h"
#include "pin.h"
#include "program_ops.h"
#include "stats.h"
#include "tenant.h"
#include "trace.h"
#include "traversal.h"
#include "volume.h"

/**
 * exo_traversal_fail() - note why a traversal ends; it does when nothing is in flight any more
 * @t: driven by the caller
 * @cause: of the end; only the first one counts
 * @error: negative errno or 0
 *
 * Context: any.
 */
void exo_traversal_fail(struct exo_traversal *t, enum exo_end cause, int error)
{
	if (t->ending)
		return;
	t->ending = true;
	t->cause = cause;
	t->error = error;
}

/* ---- the program ---- */

/* Nobody calls it any more; the verdict has no say. */
static int detached(struct exo_traversal *t)
{
	exo_traversal_fail(t, EXO_END_DETACHED, 0);
	return EXO_DONE;
}

/*
 * One that takes long runs with interrupts on. They see by the mark that they must not run the same
 * program. Another task would not look at it, but only a fully preemptible kernel would run one here.
 */
static int call_slow(struct exo_traversal *t, int (*member)(struct exo_hop_context *context))
{
	bool alone = preempt_model_none() || preempt_model_voluntary();
	int verdict;
	u64 begun;

	if (!alone)
		preempt_disable();
	/* For the look at gone; the trampoline has a read side of its own. */
	rcu_read_lock();
	if (READ_ONCE(t->program->gone)) {
		verdict = detached(t);
	} else {
		exo_budget_begin_slow(t->program);
		begun = exo_clock();
		verdict = member(&t->context);
		exo_budget_judge_slow(t->tenant, t->program, exo_clock() - begun);
		exo_budget_end_slow(t->program);
	}
	rcu_read_unlock();
	if (!alone)
		preempt_enable();
	return verdict;
}

/* A stay in an interrupt is judged as a whole. */
static void judge(struct exo_traversal *t, u64 begun)
{
	if (!in_hardirq() && !in_serving_softirq())
		exo_budget_judge(t->tenant, t->program, exo_clock() - begun);
}

/*
 * With interrupts off, because the completion of another traversal would otherwise run the program
 * in the middle of itself, and its per-CPU maps would mix what belongs to two users. So steps need no
 * trampoline, see program_ops.h, and whoever detaches the program waits for the call.
 */
static int call(struct exo_traversal *t, int (*member)(struct exo_hop_context *context))
{
	unsigned long flags;
	int verdict;
	u64 begun;

	t->free = t->lanes & ~(t->due | t->in_flight | t->arrived);
	if (unlikely(exo_budget_is_slow(t)) && preemptible())
		return call_slow(t, member);

	local_irq_save(flags);
	begun = exo_clock();
	if (unlikely(READ_ONCE(t->program->gone)))
		verdict = detached(t);
	else if (member == t->program->step)
		verdict = exo_program_step(t->program, &t->context);
	else
		verdict = member(&t->context);
	judge(t, begun);
	local_irq_restore(flags);
	return verdict;
}

/* A verdict is not the program's last word if its finish can have none. */
static void call_finish(struct exo_traversal *t)
{
	unsigned long flags;
	bool gone;
	u64 begun;

	local_irq_save(flags);
	begun = exo_clock();
	gone = READ_ONCE(t->program->gone);
	if (!gone) {
		t->program->finish(&t->context);
		judge(t, begun);
	}
	local_irq_restore(flags);
	if (gone && (t->cause == EXO_END_DONE || t->cause == EXO_END_PROGRAM)) {
		t->cause = EXO_END_DETACHED;
		t->error = 0;
	}
}

/* What the outcome says of the last read, or of the one that was refused. */
static void note_read(struct exo_traversal *t, const struct exo_read *r)
{
	t->slot = r->slot;
	t->offset = r->offset;
	t->len = r->len;
}

/* Makes a read due, or ends the traversal. */
static bool ask(struct exo_traversal *t, struct exo_read *r)
{
	enum exo_end refusal = t->asked < t->hop_limit ? exo_read_place(r) : EXO_END_HOP_LIMIT;

	if (refusal != EXO_END_DONE) {
		note_read(t, r);
		exo_traversal_fail(t, refusal, 0);
		return false;
	}
	t->asked++;
	t->due |= BIT(r->index);
	return true;
}

/**
 * exo_traversal_judge() - act on what start or step returned
 * @t: driven by the caller
 * @verdict: of the program
 *
 * Context: any.
 */
void exo_traversal_judge(struct exo_traversal *t, int verdict)
{
	u32 wished = t->wished;

	t->wished = 0;
	if (verdict == EXO_DONE)
		return exo_traversal_fail(t, EXO_END_DONE, 0);
	if (verdict < 0 && verdict >= -MAX_ERRNO)
		return exo_traversal_fail(t, EXO_END_PROGRAM, verdict);
	if (verdict != EXO_NEXT || !(wished | t->due | t->in_flight | t->arrived))
		return exo_traversal_fail(t, EXO_END_BAD_VERDICT, 0);
	for (; wished; wished &= wished - 1) {
		if (!ask(t, &t->reads[__ffs(wished)]))
			return;
	}
}

/**
 * exo_traversal_begin() - let the program choose the first reads, or take the caller's
 * @t: complete, and entered on the grant of its first slot; driven by the caller
 *
 * The first of its reads holds the caller's offset and length.
 *
 * Context: any.
 */
void exo_traversal_begin(struct exo_traversal *t)
{
	int verdict = EXO_NEXT;

	t->started_ns = ktime_get_ns();
	t->ran = true;
	atomic64_inc(&t->slots.grants[t->slot]->traversals);
	this_cpu_inc(t->program->counters->started);
	exo_tenant_count(t->tenant, started);
	exo_count(traversals);
	trace_exo_traversal_start(t->slots.grants[t->slot]->id, t->program_id,
				  t->slots.grants[t->slot]->pin->ino, t->offset, t->hop_bytes);

	if (t->program->start)
		verdict = call(t, t->program->start);
	if (verdict == EXO_NEXT && !t->wished)
		t->wished = BIT(0);
	exo_traversal_judge(t, verdict);
}

/* ---- a block ---- */

/* Copies a block for the caller if there is room for all of it. */
static void record_block(struct exo_traversal *t, const struct exo_read *r, const u8 *block,
			 u32 len)
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
			.file_offset = r->offset,
			.len = len,
			.hop = t->context.hop.hop,
			.slot = r->slot,
		};
	memcpy(t->blocks + at + head, block, len);
	t->blocks_len = at + head + len;
	t->blocks_recorded = head ? t->blocks_recorded + 1 : 1;
}

/* Tells the program which file it is in. */
static void show_slot(struct exo_hop *hop, const struct exo_read *r)
{
	hop->slot = r->slot;
	hop->file_size = r->grant->file_bytes;
	hop->range_start = r->grant->range_start;
	hop->range_end = r->grant->range_end;
	hop->logical_block_bytes = r->volume->block_bytes;
}

/* Hands a block that is complete to the program. */
static void step(struct exo_traversal *t, struct exo_read *r)
{
	struct exo_hop *hop = &t->context.hop;
	u8 *block = r->buffer + (r->offset - r->window_start);
	bool hole = !r->read_device && !r->cached;
	u32 valid;
	int verdict;

	if (unlikely(hop->slot != r->slot))
		show_slot(hop, r);
	/* What the device holds behind the end of the file is nobody's business. */
	valid = min_t(u64, r->len, hop->file_size - r->offset);
	if (unlikely(valid < r->len))
		memset(block + valid, 0, r->len - valid);

	note_read(t, r);
	t->holes += hole;
	t->cached += r->cached;
	hop->offset = r->offset;
	hop->len = valid;
	hop->tag = r->tag;
	hop->hop = t->hops++;
	hop->hops_left = t->hop_limit - t->asked;
	hop->pending = hweight32(t->due | t->in_flight | t->arrived);
	t->block = block;
	t->at_hand = r->index;
	t->block_len = r->len;
	if (t->record)
		record_block(t, r, block, valid);

	/* The program may ask for the next read in r's own place, while it looks at r's block. */
	verdict = call(t, t->program->step);
	trace_exo_hop(r->grant->id, hop->hop, hop->offset, hop->len, hole, verdict);
	exo_traversal_judge(t, verdict);
}

/* A set's grants count what was read of each; a grant alone is told at the end. */
static void count_piece(struct exo_traversal *t, struct exo_read *r)
{
	if (!r->hole && !r->cached) {
		t->bytes += r->piece_len;
		r->read_device = true;
		if (t->slots.set)
			atomic64_add(r->piece_len, &r->grant->bytes);
	}
	if (t->slots.set && r->piece_at + r->piece_len == r->window_len)
		atomic64_inc(&r->grant->hops);
}

/**
 * exo_traversal_take() - a piece of a read has arrived
 * @t: driven by the caller
 * @r: the read, which is in none of @t's sets; afterwards it may be due again, for its next piece or
 *     because the program asked for another read
 *
 * Context: any.
 */
void exo_traversal_take(struct exo_traversal *t, struct exo_read *r)
{
	enum exo_end stop;

	if (t->ending)
		return;
	if (r->status) {
		note_read(t, r);
		return exo_traversal_fail(t, EXO_END_IO,
					  exo_volume_error(r->volume,
							   blk_status_to_errno(r->status)));
	}
	count_piece(t, r);
	stop = exo_traversal_stopped(t);
	if (stop != EXO_END_DONE)
		return exo_traversal_fail(t, stop, 0);
	r->piece_at += r->piece_len;
	if (r->piece_at == r->window_len) {
		if (r->grant->pin->cache && !r->cached)
			exo_cache_put(r);
		return step(t, r);
	}
	exo_read_next_piece(r);
	t->due |= BIT(r->index);
}

/* ---- the end ---- */

static void count_end(const struct exo_traversal *t)
{
	if (!t->slots.set) {
		atomic64_add(t->hops, &t->only->hops);
		atomic64_add(t->bytes, &t->only->bytes);
	}
	exo_count_add(hops, t->hops);
	exo_count_add(issued_first, t->first);
	exo_count_add(issued_direct, t->direct);
	exo_count_add(issued_polled, t->poll_issued);
	exo_count_add(issued_deferred, t->deferred);
	exo_count_add(issued_dispatched, t->dispatched);
	exo_count_add(holes, t->holes);
	exo_count_add(cached, t->cached);
	exo_count_add(bytes, t->bytes);
	if (t->cause == EXO_END_IO)
		exo_count(io_errors);
	if (t->cause == EXO_END_OUT_OF_RANGE || t->cause == EXO_END_OUT_OF_FILE)
		exo_count(out_of_range);
	this_cpu_add(t->program->counters->steps, t->hops);
	this_cpu_inc(t->program->counters->ended);
	exo_tenant_count_add(t->tenant, reads,
			     t->first + t->direct + t->deferred + t->poll_issued + t->dispatched);
	exo_tenant_count_add(t->tenant, bytes, t->bytes);
	exo_tenant_count(t->tenant, ended);
	exo_count(traversals_ended);
}

/**
 * exo_traversal_end() - the traversal is over, and nothing of it is in flight
 * @t: driven by the caller; its outcome stands
 *
 * Gives back program and grants and tells the caller. The engine's reference is left to drop.
 *
 * Context: any.
 */
void exo_traversal_end(struct exo_traversal *t)
{
	t->block_len = 0;
	t->free = 0;
	t->finishing = true;
	if (t->program->finish)
		call_finish(t);

	for (u32 lanes = t->lanes; lanes; lanes &= lanes - 1)
		exo_issue_end(&t->reads[__ffs(lanes)]);

	t->elapsed_ns = ktime_get_ns() - t->started_ns;
	trace_exo_traversal_end(t->slots.grants[0]->id, t->cause, t->error, t->hops, t->direct,
				t->deferred, t->elapsed_ns);
	count_end(t);
	exo_program_put(t->program);
	/* From here on blocks of the pins may be reused, and the volumes' devices may go. */
	for (u64 slots = t->entered; slots; slots &= slots - 1)
		exo_grant_leave(t->slots.grants[__ffs64(slots)]);
	t->ended = true;
	t->on_end(t);
}
