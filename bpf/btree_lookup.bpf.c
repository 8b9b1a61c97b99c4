// SPDX-License-Identifier: GPL-2.0-only
/*
 * The value of one key in an index file: descends from the root to a leaf, then through the overflow
 * nodes of a large value. Arguments and result are described in exo_index.h; nodes are searched by
 * exo_btree.bpf.h. The caller starts the traversal at the root's offset with hops of one node.
 *
 * Loop bound: every inner node must lie one level below the one before, and every overflow node have
 * one node less behind it; anything else is -EBADMSG. So a traversal ends after at most
 * root_level + 1 + EXO_INDEX_OVERFLOW_NODES_MAX hops, and EXO_INDEX_LEVEL_MAX bounds root_level. Within
 * a step, the search takes 9 rounds, each compare 128 and a copy 507 at most.
 */
#include "exo.bpf.h"
#include "exo_btree.bpf.h"

/* result->expect holds a level, or this and the overflow nodes that are left. */
#define IN_OVERFLOW	0x100u

static __always_inline int read_node(struct exo_hop *hop, __u64 offset)
{
	return exo_read(hop, offset, EXO_INDEX_NODE_BYTES) ?: EXO_NEXT;
}

static __always_inline int report(struct exo_hop *hop, __u64 outcome, __u32 value_len)
{
	return exo_report(hop, outcome, sizeof(struct exo_btree_result) + value_len) ?: EXO_DONE;
}

/* One more piece of a large value. */
static __always_inline int take_overflow(struct exo_hop *hop, const struct exo_index_node *node,
					 struct exo_btree_result *result)
{
	__u32 bytes = node->count, left = result->expect & 0xff, to = result->copied;
	struct exo_btree_result *area = exo_result(hop, EXO_BTREE_RESULT_LARGE);

	/* The caller trusted a header that says no value is this long. */
	if (!area)
		return -EBADMSG;
	if (node->kind != EXO_INDEX_OVERFLOW || node->level != left ||
	    bytes > EXO_INDEX_OVERFLOW_BYTES || to > result->value_len ||
	    bytes > result->value_len - to)
		return -EBADMSG;
	if (exo_btree_copy(node, EXO_INDEX_OVERFLOW_AT, bytes, area, sizeof(*area) + to,
			   EXO_BTREE_RESULT_LARGE))
		return -EBADMSG;
	to += bytes;
	result->copied = to;
	if (!left)
		return to == result->value_len ? report(hop, EXO_BTREE_FOUND, to) : -EBADMSG;
	result->expect = IN_OVERFLOW | (left - 1);
	return read_node(hop, node->offset + EXO_INDEX_NODE_BYTES);
}

static __always_inline int take_value(struct exo_hop *hop, const struct exo_index_node *node,
				      __u32 slot, struct exo_btree_result *result)
{
	struct exo_btree_value value;

	if (exo_btree_value(node, slot, &value))
		return -EBADMSG;
	result->value_len = value.len;
	if (value.overflow) {
		result->expect = IN_OVERFLOW | ((value.len - 1) / EXO_INDEX_OVERFLOW_BYTES);
		return read_node(hop, value.overflow);
	}
	if (exo_btree_copy(node, value.at, value.len, result, sizeof(*result),
			   EXO_BTREE_RESULT_SMALL))
		return -EBADMSG;
	return report(hop, EXO_BTREE_FOUND, value.len);
}

/* Searches one node of the tree for the key that follows the arguments. */
static __always_inline int take_node(struct exo_hop *hop, const struct exo_index_node *node,
				     const struct exo_btree_args *args, const __u32 key_bytes,
				     struct exo_btree_result *result)
{
	__u32 level = hop->hop ? result->expect : args->root_level;
	struct exo_btree_place place = {};
	__u64 child;

	if (node->level != level || level > EXO_INDEX_LEVEL_MAX ||
	    node->kind != (level ? EXO_INDEX_INNER : EXO_INDEX_LEAF))
		return -EBADMSG;
	if (exo_btree_search(node, args + 1, args->key_len, key_bytes, &place))
		return -EBADMSG;
	if (level) {
		if (exo_btree_child(node, place.slot, &child))
			return -EBADMSG;
		result->expect = level - 1;
		return read_node(hop, child);
	}
	if (!place.equal)
		return report(hop, EXO_BTREE_ABSENT, 0);
	return take_value(hop, node, place.slot, result);
}

SEC("struct_ops/step")
int BPF_PROG(btree_lookup_step, struct exo_hop *hop)
{
	const struct exo_index_node *node = exo_block(hop, EXO_INDEX_NODE_BYTES);
	const struct exo_btree_args *args = exo_args(hop, EXO_BTREE_ARGS_SHORT);
	struct exo_btree_result *result = exo_result(hop, EXO_BTREE_RESULT_SMALL);

	if (!node || !args || !result)
		return -EINVAL;
	if (exo_btree_check(node, hop->offset, args->build_id))
		return -EBADMSG;
	if (result->expect & IN_OVERFLOW)
		return take_overflow(hop, node, result);
	if (args->key_len <= EXO_BTREE_KEY_SHORT)
		return take_node(hop, node, args, EXO_BTREE_KEY_SHORT + EXO_INDEX_SLACK_BYTES,
				 result);

	args = exo_args(hop, EXO_BTREE_ARGS_LONG);
	if (!args || args->key_len > EXO_INDEX_KEY_MAX)
		return -EINVAL;
	return take_node(hop, node, args, EXO_INDEX_KEY_MAX + EXO_INDEX_SLACK_BYTES, result);
}

EXO_PROGRAM(btree_lookup, NULL, btree_lookup_step, NULL);
EXO_LICENSE;
