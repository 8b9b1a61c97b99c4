// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks requests, makes traversals of them with all the memory they will need, and copies results
 * out. The pages that a device writes to are ours; user memory is read before the start and written
 * after the end, so that unmapping or reusing it meanwhile harms nobody.
 */
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uaccess.h>

#include "audit.h"
#include "backlog.h"
#include "budget.h"
#include "clock.h"
#include "drive.h"
#include "grant.h"
#include "limits.h"
#include "pin.h"
#include "program_ops.h"
#include "request.h"
#include "set.h"
#include "submit.h"
#include "traversal.h"
#include "traverse.h"
#include "user.h"
#include "volume.h"
#include "workers.h"

#define RECORD_FLAGS	(EXO_TRAVERSE_LAST_BLOCK | EXO_TRAVERSE_ALL_BLOCKS)

static struct kmem_cache *cache;	/* of traversals that read one block at a time */

/* ---- what is asked for ---- */

/* A request with what its checks have found out. */
struct exo_traverse_request {
	const struct exo_traverse *arg;
	struct exo_slots slots;
	struct exo_grant *only;		/* if it is no set's */
	struct exo_grant *grant;	/* of the first read's slot */
	struct exo_volume *volume;
	u32 fan_out;
	u16 engine;
	u16 engine_reason;
};

static int find_grant(struct exo_traverse_request *request, struct file *file)
{
	struct exo_set *set = exo_set_of_file(file);

	request->slots.set = set;
	if (set) {
		request->slots.grants = set->grants;
		request->slots.count = set->count;
	} else {
		request->only = file->private_data;
		request->slots.grants = &request->only;
		request->slots.count = 1;
	}
	if (request->arg->slot >= request->slots.count)
		return -EINVAL;
	request->grant = request->slots.grants[request->arg->slot];
	return 0;
}

static int check_request(struct exo_traverse_request *request)
{
	const struct exo_traverse *arg = request->arg;
	u32 record = arg->flags & RECORD_FLAGS;

	if (arg->flags & ~RECORD_FLAGS || record == RECORD_FLAGS)
		return -EINVAL;
	if (!record && arg->blocks_len)
		return -EINVAL;
	if (arg->engine > EXO_ENGINE_DISPATCH || arg->fan_out > EXO_MAX_FAN_OUT)
		return -EINVAL;
	if (!arg->hop_bytes || arg->hop_bytes > EXO_MAX_HOP_BYTES ||
	    arg->hop_bytes & (request->volume->block_bytes - 1))
		return -EINVAL;
	if (arg->args_len > EXO_MAX_ARGS_BYTES || arg->result_len > EXO_MAX_RESULT_BYTES ||
	    arg->blocks_len > EXO_MAX_BLOCKS_BYTES)
		return -E2BIG;
	if (!exo_grant_allows(request->grant, record, arg->program_id))
		return -EACCES;
	request->fan_out = arg->fan_out ?: 1;
	return 0;
}

/*
 * A traversal keeps its engine wherever it goes, so in a set the engine must be one for each slot's
 * device, and not only for that of the first read.
 */
static int choose_engine(struct exo_traverse_request *request)
{
	const struct exo_volume *volume = request->volume;
	const struct exo_set *set = request->slots.set;
	bool dispatch_only = set ? set->dispatch_only : volume->dispatch_only;
	bool pollable = set ? set->pollable : volume->pollable;
	u16 needed = dispatch_only ? EXO_REASON_DEVICE :
		     exo_submit_needed() ? EXO_REASON_CGROUP : 0;
	u16 asked = request->arg->engine;

	request->engine = asked;
	request->engine_reason = EXO_REASON_ASKED;
	if (asked == EXO_ENGINE_AUTO) {
		request->engine = needed ? EXO_ENGINE_DISPATCH : EXO_ENGINE_COMPLETION;
		request->engine_reason = needed ?: EXO_REASON_BEST;
		return 0;
	}
	if (needed && asked != EXO_ENGINE_DISPATCH)
		return -EOPNOTSUPP;
	return asked == EXO_ENGINE_POLLED && !pollable ? -EOPNOTSUPP : 0;
}

/* ---- making one ---- */

static int make_areas(struct exo_traversal *t, const struct exo_traverse *arg)
{
	size_t args_at = ALIGN(arg->result_len, sizeof(u64));
	size_t blocks_at = ALIGN(args_at + arg->args_len, sizeof(u64));
	size_t bytes = blocks_at + arg->blocks_len;

	if (!bytes)
		return 0;
	/* The caller chose the size, and is told: no matter for the kernel's log. */
	t->area = kvmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!t->area)
		return -ENOMEM;
	t->result = t->area;
	t->args = t->area + args_at;
	t->blocks = t->area + blocks_at;
	t->result_len = arg->result_len;
	t->args_len = arg->args_len;
	t->blocks_room = arg->blocks_len;
	memset(t->result, 0, args_at);
	/* Blocks have gaps between them, to begin where a header may. */
	memset(t->blocks, 0, arg->blocks_len);
	return copy_from_user(t->args, u64_to_user_ptr(arg->args), arg->args_len) ? -EFAULT : 0;
}

/*
 * Physically contiguous and aligned to the power of two that it fits into, as slab objects of that size
 * are, too; a page for less than that would take longer to zero than all else together. Zeroed, because a device that
 * answers short must not show what it held before.
 */
static u8 *make_buffer(u32 bytes)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;

	if (bytes < PAGE_SIZE)
		return kmalloc(roundup_pow_of_two(bytes), gfp);
	return alloc_pages_exact(bytes, gfp);
}

static void free_buffer(u8 *buffer, u32 bytes)
{
	if (bytes < PAGE_SIZE)
		kfree(buffer);
	else if (buffer)
		free_pages_exact(buffer, bytes);
}

static int make_reads(struct exo_traversal *t)
{
	for (u32 lanes = t->lanes; lanes; lanes &= lanes - 1) {
		u32 i = __ffs(lanes);
		struct exo_read *r = &t->reads[i];

		r->traversal = t;
		r->index = i;
		r->buffer = make_buffer(t->hop_bytes);
		if (!r->buffer)
			return -ENOMEM;
	}
	return 0;
}

static int make_origin(struct exo_traversal *t, struct exo_volume *volume)
{
	struct exo_backlog *backlog;

	if (t->engine != EXO_ENGINE_DISPATCH)
		return 0;
	exo_submit_origin(&t->origin, volume);
	backlog = exo_backlog_get(volume, &t->origin);
	if (IS_ERR(backlog))
		return PTR_ERR(backlog);
	t->backlog = backlog;
	return 0;
}

static size_t bytes_with(u32 fan_out)
{
	return sizeof(struct exo_traversal) + fan_out * sizeof(struct exo_read);
}

static struct exo_traversal *allocate(u32 fan_out)
{
	struct exo_traversal *t;

	if (fan_out == 1)
		t = kmem_cache_zalloc(cache, GFP_KERNEL_ACCOUNT);
	else
		t = kzalloc(bytes_with(fan_out), GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->reads = (struct exo_read *)(t + 1);
	t->lanes = GENMASK(fan_out - 1, 0);
	return t;
}

/* What it will need, roughly: slabs are larger than what is asked of them. */
static u32 pages_of(const struct exo_traverse_request *request)
{
	const struct exo_traverse *arg = request->arg;

	return PFN_UP(bytes_with(request->fan_out) + request->fan_out * (size_t)arg->hop_bytes +
		      arg->args_len + arg->result_len + arg->blocks_len);
}

/* The earliest of the caller's time, which is bounded, and the grants'. */
static void set_deadline(struct exo_traversal *t, u32 timeout_ms)
{
	const struct exo_set *set = t->slots.set;
	bool expires = set ? set->expires : t->only->expires;
	unsigned long expires_at = set ? set->expires_at : t->only->expires_at;

	timeout_ms = min(timeout_ms ?: exo_limit(default_timeout_ms), exo_limit(max_timeout_ms));
	t->deadline = jiffies + msecs_to_jiffies(timeout_ms);
	if (expires && time_before(expires_at, t->deadline)) {
		t->deadline = expires_at;
		t->grant_expires = true;
	}
}

static void set_slots(struct exo_traversal *t, const struct exo_traverse_request *request)
{
	t->slots = request->slots;
	if (t->slots.set) {
		exo_set_get(t->slots.set);
	} else {
		t->only = request->only;
		t->slots.grants = &t->only;
		exo_grant_get(t->only);
	}
	t->slot = request->arg->slot;
	t->tenant = request->grant->tenant;
	t->entered = BIT_ULL(t->slot);
}

/* One read at a time, of one grant, whole and at once on the device's queue, and no copies kept. */
static void set_plain(struct exo_traversal *t, const struct exo_traverse_request *request)
{
	const struct exo_volume *volume = request->volume;

	t->plain = request->fan_out == 1 && t->only && !t->record &&
		   t->engine != EXO_ENGINE_DISPATCH && !t->only->pin->cache &&
		   !t->only->rate_above && t->hop_bytes <= volume->max_read_bytes &&
		   t->hop_bytes <= volume->segment_bytes && !exo_request_needs_budget(volume->queue);
	if (!t->plain)
		return;
	t->extent = t->only->pin->map.extents;
	t->settled = jiffies - 1;
}

static struct exo_traversal *create(const struct exo_traverse_request *request)
{
	const struct exo_traverse *arg = request->arg;
	const struct exo_grant *grant = request->grant;
	u32 pages = pages_of(request);
	struct exo_traversal *t;
	u32 grants_hops;
	int ret;

	ret = exo_user_take_memory(grant->user, pages);
	if (ret)
		return ERR_PTR(ret);
	t = allocate(request->fan_out);
	if (!t) {
		exo_user_give_memory(grant->user, pages);
		return ERR_PTR(-ENOMEM);
	}
	t->payer = grant->user;
	t->pages = pages;
	exo_drive_init(t);
	set_slots(t, request);
	set_deadline(t, arg->timeout_ms);
	grants_hops = min(t->slots.set ? t->slots.set->hop_limit : grant->hop_limit,
			  exo_limit(max_hops));
	t->program_id = arg->program_id;
	t->engine = request->engine;
	t->engine_reason = request->engine_reason;
	t->hop_bytes = arg->hop_bytes;
	t->hop_limit = min(arg->hop_limit ?: grants_hops, grants_hops);
	t->record = arg->flags & RECORD_FLAGS;
	t->user_result = arg->result;
	t->user_blocks = arg->blocks;
	refcount_set(&t->refs, 2);
	set_plain(t, request);

	ret = make_origin(t, request->volume);
	if (!ret)
		ret = make_reads(t);
	if (!ret)
		ret = make_areas(t, arg);
	if (ret) {
		exo_traverse_free(t);
		return ERR_PTR(ret);
	}

	t->offset = arg->start_offset;
	t->len = arg->hop_bytes - (arg->start_offset & (request->volume->block_bytes - 1));
	t->reads[0].slot = t->slot;
	t->reads[0].offset = t->offset;
	t->reads[0].len = t->len;
	t->context.hop = (struct exo_hop){
		.offset = t->offset,
		.file_size = grant->file_bytes,
		.range_start = grant->range_start,
		.range_end = grant->range_end,
		.hops_left = t->hop_limit,
		.args_len = t->args_len,
		.result_len = t->result_len,
		.logical_block_bytes = request->volume->block_bytes,
		.slot = t->slot,
	};
	return t;
}

static struct exo_traversal *prepare_entered(struct exo_traverse_request *request)
{
	struct exo_program *program;
	struct exo_traversal *t;
	int ret;

	request->volume = request->grant->pin->volume;
	ret = check_request(request);
	if (!ret)
		ret = choose_engine(request);
	if (ret)
		return ERR_PTR(ret);
	program = exo_program_get(request->arg->program_id);
	if (!program)
		return ERR_PTR(-ENOENT);
	t = create(request);
	if (IS_ERR(t))
		exo_program_put(program);
	else
		t->program = program;
	return t;
}

/**
 * exo_traverse_prepare() - make a traversal of a request
 * @file: the grant's or the set's, referenced by the caller
 * @arg: the request; its outcome is not looked at
 *
 * The traversal is entered on its first grant, holds its program, and must be started; the caller
 * sets on_end and owner before. It owns one reference, to be dropped with exo_traverse_put() after
 * the end.
 *
 * Context: process, may sleep; reads user memory.
 * Return: the traversal, or an error as EXO_GRANT_TRAVERSE promises them, in its order.
 */
struct exo_traversal *exo_traverse_prepare(struct file *file, const struct exo_traverse *arg)
{
	struct exo_traverse_request request = { .arg = arg };
	struct exo_traversal *t;
	int ret;

	ret = find_grant(&request, file);
	if (ret)
		return ERR_PTR(ret);
	/* A cut grant is cut before anything else, since its volume's device may be gone. */
	ret = exo_grant_enter(request.grant);
	if (ret)
		return ERR_PTR(ret);
	t = prepare_entered(&request);
	if (IS_ERR(t))
		exo_grant_leave(request.grant);
	return t;
}

/* ---- the way back ---- */

/**
 * exo_traverse_outcome() - how it went, and its reads to the caller's account
 * @t: ended
 * @outcome: filled
 *
 * Context: process, the caller's.
 */
void exo_traverse_outcome(const struct exo_traversal *t, struct exo_outcome *outcome)
{
	task_io_account_read(t->bytes);
	*outcome = (struct exo_outcome){
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
		.blocks_len = t->blocks_len,
		.blocks = t->blocks_recorded,
		.dispatched = t->dispatched,
		.slot = t->slot,
		.engine = t->engine,
		.engine_reason = t->engine_reason,
		.cached = t->cached,
	};
}

/**
 * exo_traverse_copy_out() - the same, and write results to the caller's memory
 * @t: ended
 * @outcome: filled, in kernel memory
 *
 * Context: process; the caller's memory is current's.
 * Return: 0 or -EFAULT; @outcome is filled all the same.
 */
int exo_traverse_copy_out(const struct exo_traversal *t, struct exo_outcome *outcome)
{
	exo_traverse_outcome(t, outcome);
	if (copy_to_user(u64_to_user_ptr(t->user_result), t->result, t->result_valid) ||
	    copy_to_user(u64_to_user_ptr(t->user_blocks), t->blocks, t->blocks_len))
		return -EFAULT;
	return 0;
}

/* Of its last read, or of the one that was refused; the first one's if the set has no such slot. */
static struct exo_grant *last_grant(const struct exo_traversal *t)
{
	return t->slots.grants[t->slot < t->slots.count ? t->slot : 0];
}

static bool own_verdict(const struct exo_traversal *t)
{
	return t->cause == EXO_END_DONE || t->cause == EXO_END_PROGRAM;
}

/**
 * exo_traverse_put() - drop the caller's reference
 * @t: not to be touched afterwards
 * @ended: it has; otherwise the engine frees it later
 *
 * Ends that are not the program's own verdict are recorded, under the name of whoever waited; when
 * that process is gone, of whoever opened the grant.
 *
 * Context: process, may sleep.
 */
void exo_traverse_put(struct exo_traversal *t, bool ended)
{
	if (!ended || !own_verdict(t)) {
		if (current->flags & PF_KTHREAD)
			exo_grant_actor(last_grant(t), &t->actor);
		else
			exo_actor_current(&t->actor);
	}
	if (refcount_dec_and_test(&t->refs))
		exo_traverse_free(t);
}

/**
 * exo_traverse_free() - the last reference has gone
 * @t: freed
 *
 * Context: process, may sleep.
 */
void exo_traverse_free(struct exo_traversal *t)
{
	const struct exo_grant *grant = last_grant(t);

	if (t->ran && !own_verdict(t))
		exo_audit_as(&(struct exo_audit_event){
			.type = EXO_AUDIT_TRAVERSAL_FAILED,
			.error = t->error,
			.cause = t->cause,
			.volume_id = grant->pin->volume->id,
			.ino = grant->pin->ino,
			.generation = grant->pin->generation,
			.grant_id = grant->id,
			.program_id = t->program_id,
			.hop = t->hops,
			.file_offset = t->offset,
			.length = t->len,
		}, &t->actor);
	/* It has run out long ago, but its handler may still be on its way out. */
	hrtimer_cancel(&t->retry);
	exo_backlog_put(t->backlog);
	bio_uninit(&t->origin);
	kvfree(t->area);
	for (u32 lanes = t->lanes; lanes; lanes &= lanes - 1)
		free_buffer(t->reads[__ffs(lanes)].buffer, t->hop_bytes);
	exo_user_give_memory(t->payer, t->pages);
	if (t->slots.set)
		exo_set_put(t->slots.set);
	else
		exo_grant_put(t->only);
	/* Right for what comes from the cache, too. */
	kfree(t);
}

int __init exo_traverse_init(void)
{
	cache = kmem_cache_create("exo_traversal", bytes_with(1), 0,
				  SLAB_HWCACHE_ALIGN, NULL);
	if (!cache)
		return -ENOMEM;
	exo_clock_init();
	exo_budget_init();
	if (exo_workers_init()) {
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
	return 0;
}

/**
 * exo_traverse_exit() - undo exo_traverse_init()
 *
 * No grant is open and no volume attached, so nothing is in flight. The last completions may still
 * be on their way out of our code.
 */
void exo_traverse_exit(void)
{
	/* Out of interrupts, and out of tasks that were preempted on their way. */
	synchronize_rcu();
	synchronize_rcu_tasks();
	exo_workers_exit();
	kmem_cache_destroy(cache);
}
