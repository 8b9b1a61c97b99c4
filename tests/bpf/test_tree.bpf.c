// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks a tree whose blocks name their children, in any file of the set, with as many reads at once as
 * the traversal allows. Children that find no room wait in the result area.
 */
#include "exo.bpf.h"
#include "test_args.h"

static int remember(struct test_tree_result *result, const struct test_tree_block *block)
{
	for (__u32 i = 0; i < EXO_TEST_TREE_CHILDREN; i++) {
		__u32 top = result->waiting;

		if (i >= block->children)
			break;
		/* The verifier follows an index that the compiler has not spread over several. */
		barrier_var(top);
		if (top >= EXO_TEST_TREE_WAITING)
			return -ENOSPC;
		result->wait[top] = block->child[i];
		result->waiting = top + 1;
	}
	return 0;
}

/* As many as there is room for. */
static void read_on(struct exo_hop *hop, struct test_tree_result *result)
{
	for (__u32 i = 0; i <= EXO_TEST_TREE_CHILDREN; i++) {
		__u32 top = result->waiting - 1;
		struct test_tree_child child;

		barrier_var(top);
		if (top >= EXO_TEST_TREE_WAITING)
			break;
		child = result->wait[top];
		if (exo_read_from(hop, child.slot, child.offset, sizeof(struct test_tree_block),
				  child.value)) {
			result->refused++;
			break;
		}
		result->waiting = top;
	}
}

SEC("struct_ops/step")
int BPF_PROG(test_tree_step, struct exo_hop *hop)
{
	const struct test_tree_block *block = exo_block(hop, sizeof(*block));
	struct test_tree_result *result = exo_result(hop, sizeof(*result));
	__u32 waiting;
	int err;

	if (!block || !result)
		return -EINVAL;
	/* What was asked for is what came. */
	if (hop->hop && hop->tag != block->value)
		return -EBADMSG;
	result->sum += block->value;
	result->blocks++;
	if (hop->pending > result->most_pending)
		result->most_pending = hop->pending;
	err = remember(result, block);
	if (err)
		return err;
	waiting = result->waiting;
	read_on(hop, result);
	if (waiting || hop->pending)
		return EXO_NEXT;
	return exo_report(hop, result->blocks, sizeof(*result)) ?: EXO_DONE;
}

EXO_PROGRAM(test_tree, NULL, test_tree_step, NULL);
EXO_LICENSE;
