// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks requests, makes traversals of them with all the memory they will need, and copies results
 * out. The pages that a device writes to are ours; user memory is read before the start and written
 * after the end, so that unmapping or reusing it meanwhile harms nobody.
 */
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "audit.h"
#include "grant.h"
#include "limits.h"
#include "pin.h"
#include "program_ops.h"
#include "traversal.h"
#include "traverse.h"
#include "volume.h"

#define RECORD_FLAGS	(EXO_TRAVERSE_LAST_BLOCK | EXO_TRAVERSE_ALL_BLOCKS)

static struct kmem_cache *cache;

static int check_request(const struct exo_grant *grant, const struct exo_traverse *arg)
{
	const struct exo_volume *volume = grant->pin->volume;
	u32 record = arg->flags & RECORD_FLAGS;

	if (arg->flags & ~(EXO_TRAVERSE_POLLED | RECORD_FLAGS) || record == RECORD_FLAGS)
		return -EINVAL;
	if (!record && arg->blocks_len)
		return -EINVAL;
	if (!arg->hop_bytes || arg->hop_bytes > EXO_MAX_HOP_BYTES ||
	    arg->hop_bytes & (volume->block_bytes - 1))
		return -EINVAL;
	if (arg->args_len > EXO_MAX_ARGS_BYTES || arg->result_len > EXO_MAX_RESULT_BYTES ||
	    arg->blocks_len > EXO_MAX_BLOCKS_BYTES)
		return -E2BIG;
	if (!(grant->rights & EXO_RIGHT_TRAVERSE) ||
	    (record && !(grant->rights & EXO_RIGHT_BLOCKS)) ||
	    (grant->program_id && arg->program_id != grant->program_id))
		return -EACCES;
	if (arg->flags & EXO_TRAVERSE_POLLED && !volume->pollable)
		return -EOPNOTSUPP;
	return 0;
}

/* ---- making one ---- */

static int make_areas(struct exo_traversal *t, const struct exo_traverse *arg)
{
	size_t args_at = ALIGN(arg->result_len, sizeof(u64));
	size_t blocks_at = ALIGN(args_at + arg->args_len, sizeof(u64));
	size_t bytes = blocks_at + arg->blocks_len;

	if (!bytes)
		return 0;
	t->area = kvmalloc(bytes, GFP_KERNEL_ACCOUNT);
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

static struct exo_traversal *create(struct exo_grant *grant, const struct exo_traverse *arg)
{
	struct exo_volume *volume = grant->pin->volume;
	struct exo_traversal *t;
	u32 timeout_ms = min(arg->timeout_ms ?: EXO_DEFAULT_TIMEOUT_MS, EXO_MAX_TIMEOUT_MS);
	int ret;

	t = kmem_cache_zalloc(cache, GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	exo_traversal_init(t);
	exo_grant_get(grant);
	t->grant = grant;
	t->volume = volume;
	t->program_id = arg->program_id;
	t->hop_bytes = arg->hop_bytes;
	t->hop_limit = min(arg->hop_limit ?: grant->hop_limit, grant->hop_limit);
	t->polled = arg->flags & EXO_TRAVERSE_POLLED;
	t->record = arg->flags & RECORD_FLAGS;
	t->deadline = jiffies + msecs_to_jiffies(timeout_ms);
	if (grant->expires && time_before(grant->expires_at, t->deadline)) {
		t->deadline = grant->expires_at;
		t->grant_expires = true;
	}
	t->offset = arg->start_offset;
	t->len = arg->hop_bytes - (arg->start_offset & (volume->block_bytes - 1));
	t->user_result = arg->result;
	t->user_blocks = arg->blocks;
	refcount_set(&t->refs, 2);

	/* Zeroed, because a device that answers short must not show what the page held before. */
	ret = -ENOMEM;
	t->buffer = alloc_pages_exact(t->hop_bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!t->buffer)
		goto err_free;
	ret = make_areas(t, arg);
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
	exo_traverse_free(t);
	return ERR_PTR(ret);
}

/**
 * exo_traverse_prepare() - make a traversal of a request
 * @grant: that the caller holds through its fd
 * @arg: the request; its outcome is not looked at
 *
 * The traversal is entered on its grant, holds its program, and must be started; the caller sets
 * on_end and owner before. It owns one reference, to be dropped with exo_traverse_put() after the
 * end.
 *
 * Context: process, may sleep; reads user memory.
 * Return: the traversal, or an error as EXO_GRANT_TRAVERSE promises them, in its order.
 */
struct exo_traversal *exo_traverse_prepare(struct exo_grant *grant, const struct exo_traverse *arg)
{
	struct exo_program *program;
	struct exo_traversal *t;
	int ret;

	/* A cut grant is cut before anything else, since its volume's device may be gone. */
	ret = exo_grant_enter(grant);
	if (ret)
		return ERR_PTR(ret);
	ret = check_request(grant, arg);
	if (ret)
		goto err_leave;
	ret = -ENOENT;
	program = exo_program_get(arg->program_id);
	if (!program)
		goto err_leave;
	t = create(grant, arg);
	if (IS_ERR(t)) {
		ret = PTR_ERR(t);
		goto err_program;
	}
	t->program = program;
	return t;

err_program:
	exo_program_put(program);
err_leave:
	exo_grant_leave(grant);
	return ERR_PTR(ret);
}

/* ---- the way back ---- */

/**
 * exo_traverse_copy_out() - write results to the caller's memory
 * @t: ended
 * @outcome: filled, in kernel memory
 *
 * Context: process; the caller's memory is current's.
 * Return: 0 or -EFAULT; @outcome is filled all the same.
 */
int exo_traverse_copy_out(const struct exo_traversal *t, struct exo_outcome *outcome)
{
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
	};
	if (copy_to_user(u64_to_user_ptr(t->user_result), t->result, t->result_valid) ||
	    copy_to_user(u64_to_user_ptr(t->user_blocks), t->blocks, t->blocks_len))
		return -EFAULT;
	return 0;
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
			exo_grant_actor(t->grant, &t->actor);
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

int __init exo_traverse_init(void)
{
	cache = KMEM_CACHE(exo_traversal, SLAB_HWCACHE_ALIGN);
	if (!cache)
		return -ENOMEM;
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
