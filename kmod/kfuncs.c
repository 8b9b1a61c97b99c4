// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a traversal program may call. The verifier lets only a trusted exo_hop_context in, and only
 * programs of our type ever get one, so the traversal around it is the one that runs the program.
 * Whether a read is allowed is decided after the verdict, by traversal.c.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/module.h>

#include <linux/exo.h>

#include "grant.h"
#include "kfuncs.h"
#include "traversal.h"

static struct exo_traversal *traversal_of(const struct exo_hop_context *context)
{
	return container_of(context, struct exo_traversal, context);
}

/*
 * For size 0 the verifier takes what the returned pointer points to, one byte, which may lie
 * behind the area.
 */
static bool valid_size(size_t size, u32 len)
{
	return size && size <= len;
}

/* The read whose block the program looks at comes first, since it holds a request already. */
static int wish(struct exo_traversal *t, u32 slot, u64 offset, u32 len, u64 tag)
{
	u32 free = t->free;
	struct exo_read *r;
	u32 index;

	if (unlikely(!free))
		return t->finishing ? -EINVAL : -ENOSPC;
	index = free & BIT(t->at_hand) ? t->at_hand : __ffs(free);
	r = &t->reads[index];
	r->slot = slot;
	r->offset = offset;
	r->len = len;
	r->tag = tag;
	t->wished |= BIT(index);
	t->free = free & ~BIT(index);
	return 0;
}

__bpf_kfunc_start_defs();

/**
 * exo_block() - the block that arrived
 * @context: as the program was given it
 * @rdonly_buf_size: bytes to be read, a constant for the verifier
 *
 * Return: the block, or NULL if it is shorter, there is none, or the size is 0.
 */
__bpf_kfunc const u8 *exo_block(const struct exo_hop_context *context, const size_t rdonly_buf_size)
{
	const struct exo_traversal *t = traversal_of(context);

	return valid_size(rdonly_buf_size, t->block_len) ? t->block : NULL;
}

/**
 * exo_args() - the caller's arguments
 * @context: as the program was given it
 * @rdonly_buf_size: bytes to be read, a constant for the verifier
 *
 * Return: the arguments, or NULL if they are shorter or the size is 0.
 */
__bpf_kfunc const u8 *exo_args(const struct exo_hop_context *context, const size_t rdonly_buf_size)
{
	const struct exo_traversal *t = traversal_of(context);

	return valid_size(rdonly_buf_size, t->args_len) ? t->args : NULL;
}

/**
 * exo_result() - the result area
 * @context: as the program was given it
 * @rdwr_buf_size: bytes to be accessed, a constant for the verifier
 *
 * Return: the area, or NULL if it is shorter or the size is 0.
 */
__bpf_kfunc u8 *exo_result(const struct exo_hop_context *context, const size_t rdwr_buf_size)
{
	struct exo_traversal *t = traversal_of(context);

	return valid_size(rdwr_buf_size, t->result_len) ? t->result : NULL;
}

/**
 * exo_read() - say what to read next
 * @context: as the program was given it
 * @offset: in the file
 * @len: bytes
 *
 * In the file whose block arrived; before the first, in the one that the caller named.
 *
 * Return: 0; -EINVAL when the traversal has ended; -ENOSPC when as many reads are under way as the
 * caller allows.
 */
__bpf_kfunc int exo_read(const struct exo_hop_context *context, u64 offset, u32 len)
{
	return wish(traversal_of(context), context->hop.slot, offset, len, 0);
}

/**
 * exo_read_from() - say what to read next, of which file of the set
 * @context: as the program was given it
 * @slot: of the file; any number
 * @offset: in the file
 * @len: bytes
 * @tag: for hop.tag when the block arrives
 *
 * Return: as exo_read().
 */
__bpf_kfunc int exo_read_from(const struct exo_hop_context *context, u32 slot, u64 offset, u32 len,
			      u64 tag)
{
	return wish(traversal_of(context), slot, offset, len, tag);
}

/**
 * exo_file_size() - the size of a file of the set
 * @context: as the program was given it
 * @slot: of the file; any number
 *
 * Return: bytes, or 0 if there is no such slot.
 */
__bpf_kfunc u64 exo_file_size(const struct exo_hop_context *context, u32 slot)
{
	const struct exo_traversal *t = traversal_of(context);

	return slot < t->slots.count ? t->slots.grants[slot]->file_bytes : 0;
}

/**
 * exo_report() - set the traversal's outcome
 * @context: as the program was given it
 * @value: for outcome.value
 * @result_len: valid bytes of the result area
 *
 * Return: 0, or -E2BIG if the area is shorter.
 */
__bpf_kfunc int exo_report(const struct exo_hop_context *context, u64 value, u32 result_len)
{
	struct exo_traversal *t = traversal_of(context);

	if (result_len > t->result_len)
		return -E2BIG;
	t->value = value;
	t->result_valid = result_len;
	return 0;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(exo_kfunc_ids)
BTF_ID_FLAGS(func, exo_block, KF_TRUSTED_ARGS | KF_RET_NULL)
BTF_ID_FLAGS(func, exo_args, KF_TRUSTED_ARGS | KF_RET_NULL)
BTF_ID_FLAGS(func, exo_result, KF_TRUSTED_ARGS | KF_RET_NULL)
BTF_ID_FLAGS(func, exo_read, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, exo_read_from, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, exo_file_size, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, exo_report, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(exo_kfunc_ids)

static const struct btf_kfunc_id_set exo_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &exo_kfunc_ids,
};

int __init exo_kfuncs_init(void)
{
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &exo_kfunc_set);
}
