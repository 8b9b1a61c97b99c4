/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The bytes of an index file: a B+-tree of 4 KiB nodes. Included by the builder, by the user-space
 * reader and by BPF programs, so that the layout is written down once. What to do with a node (search
 * it, copy from it) is exo_btree.bpf.h's.
 *
 * A file is a header node at offset 0, then leaves in key order (each followed by the overflow nodes
 * of its large values), then the inner nodes level by level; the root is last. All numbers are
 * little-endian. Keys are byte strings ordered by memcmp, a prefix before what it is a prefix of.
 *
 * Every node names its own file offset and the build it belongs to, so that a reader which is sent
 * to the wrong place, or to a file that is no index, notices. Levels fall by one on each way down
 * (leaves are level 0), and so do the chunks left in an overflow run: no damage can make a loop.
 */
#ifndef EXO_INDEX_H
#define EXO_INDEX_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "index files are little-endian; big-endian machines need conversions here"
#endif

#define EXO_INDEX_VERSION	1
#define EXO_INDEX_MAGIC		0x494f5845u	/* "EXOI" */
#define EXO_INDEX_NODE_BYTES	4096u

/* Bounds of what an index holds. A key may be empty, and so may a value. */
#define EXO_INDEX_KEY_MAX	1024u
#define EXO_INDEX_INLINE_MAX	1024u	/* longer values lie in overflow nodes */
#define EXO_INDEX_VALUE_MAX	32768u
#define EXO_INDEX_LEVEL_MAX	31u	/* of the root */

/* Readers fetch eight bytes at a time; this many at the end of a node hold nothing. */
#define EXO_INDEX_SLACK_BYTES	8u

enum exo_index_kind {
	EXO_INDEX_HEADER	= 1,
	EXO_INDEX_LEAF		= 2,
	EXO_INDEX_INNER		= 3,
	EXO_INDEX_OVERFLOW	= 4,
};

/* How every node starts. */
struct exo_index_node {
	__u32 magic;		/* EXO_INDEX_MAGIC */
	__u8 kind;		/* enum exo_index_kind */
	__u8 level;		/* inner: > 0; overflow: nodes of the run after this one; else 0 */
	__u16 count;		/* leaf, inner: slots; overflow: bytes of the value in this node */
	__u64 offset;		/* of this node in the file */
	__u64 build_id;		/* the same in all nodes of a file: a hash of its records */
	__u64 next;		/* leaf: the next leaf, 0 in the last; overflow: likewise; else 0 */
	__u16 prefix_at;	/* offset in the node of the bytes that all its keys start with */
	__u16 prefix_len;
	__u32 checksum;		/* CRC32C of the node with this field 0 */
};

/*
 * Leaf and inner nodes go on with `count` slots in key order. A key is stored without the node's
 * prefix, at key_at; right after it, unaligned, comes
 *  - in a leaf the value's length (32 bits), then the value, or the file offset (64 bits) of its
 *    first overflow node if the length is over EXO_INDEX_INLINE_MAX;
 *  - in an inner node the file offset (64 bits) of the child that holds the keys from this one on.
 * The key of an inner node's slot 0 is empty, stands for "before everything" and is never compared.
 */
struct exo_index_slot {
	__u16 key_at;
	__u16 key_len;		/* without the prefix */
	__u32 head;		/* the first four bytes of that, zero-filled, as a big-endian number */
};

#define EXO_INDEX_SLOTS_AT	40u
#define EXO_INDEX_SLOTS_MAX	\
	((EXO_INDEX_NODE_BYTES - EXO_INDEX_SLACK_BYTES - EXO_INDEX_SLOTS_AT) / 8u)

/* Overflow nodes of one value lie one after another, all but the last of them full. */
#define EXO_INDEX_OVERFLOW_AT	40u
#define EXO_INDEX_OVERFLOW_BYTES (EXO_INDEX_NODE_BYTES - EXO_INDEX_OVERFLOW_AT)
#define EXO_INDEX_OVERFLOW_NODES_MAX	\
	((EXO_INDEX_VALUE_MAX + EXO_INDEX_OVERFLOW_BYTES - 1) / EXO_INDEX_OVERFLOW_BYTES)

/* The node at offset 0; what follows the last field is zero. */
struct exo_index_header {
	struct exo_index_node node;
	__u32 version;		/* EXO_INDEX_VERSION */
	__u32 node_bytes;	/* EXO_INDEX_NODE_BYTES */
	__u64 file_bytes;
	__u64 root_offset;
	__u32 root_level;	/* depth of the tree - 1 */
	__u32 max_key_bytes;	/* the longest of this file */
	__u32 max_value_bytes;
	__u32 reserved;
	__u64 records;
	__u64 key_bytes;	/* sum over all records, before prefixes are taken off */
	__u64 value_bytes;
	__u64 leaf_nodes;
	__u64 inner_nodes;
	__u64 overflow_nodes;
	__u64 first_leaf;	/* where a scan starts */
};

#ifdef __cplusplus
#define EXO_INDEX_ASSERT(what) static_assert(what, #what)
#else
#define EXO_INDEX_ASSERT(what) _Static_assert(what, #what)
#endif
EXO_INDEX_ASSERT(sizeof(struct exo_index_node) == EXO_INDEX_SLOTS_AT);
EXO_INDEX_ASSERT(sizeof(struct exo_index_node) == EXO_INDEX_OVERFLOW_AT);
EXO_INDEX_ASSERT(sizeof(struct exo_index_slot) == 8);
EXO_INDEX_ASSERT(sizeof(struct exo_index_header) == 136);
EXO_INDEX_ASSERT(EXO_INDEX_OVERFLOW_BYTES % 8 == 0);
/* A leaf takes at least one record of the largest size, an inner node at least two children. */
EXO_INDEX_ASSERT(EXO_INDEX_SLOTS_AT + 8 + EXO_INDEX_KEY_MAX + 4 + EXO_INDEX_INLINE_MAX +
		 EXO_INDEX_SLACK_BYTES <= EXO_INDEX_NODE_BYTES);
EXO_INDEX_ASSERT(EXO_INDEX_SLOTS_AT + 2 * (8 + EXO_INDEX_KEY_MAX + 8) + EXO_INDEX_SLACK_BYTES <=
		 EXO_INDEX_NODE_BYTES);

/*
 * What a caller passes to the lookup program: struct exo_btree_args, then the key, then zeros up
 * to EXO_BTREE_ARGS_SHORT bytes in all, or EXO_BTREE_ARGS_LONG if the key is over EXO_BTREE_KEY_SHORT.
 */
struct exo_btree_args {
	__u64 build_id;		/* as in the header */
	__u32 root_level;
	__u32 key_len;
};
#define EXO_BTREE_KEY_SHORT	104u
#define EXO_BTREE_ARGS_SHORT	(16u + EXO_BTREE_KEY_SHORT + EXO_INDEX_SLACK_BYTES)
#define EXO_BTREE_ARGS_LONG	(16u + EXO_INDEX_KEY_MAX + EXO_INDEX_SLACK_BYTES)
EXO_INDEX_ASSERT(sizeof(struct exo_btree_args) == 16);

/*
 * What it answers, at the start of the result area; the value follows. outcome.value is one of
 * EXO_BTREE_*. The area has EXO_BTREE_RESULT_SMALL bytes if the header's max_value_bytes allows that,
 * else EXO_BTREE_RESULT_LARGE.
 */
struct exo_btree_result {
	__u32 value_len;
	__u32 copied;		/* so far: the program's own note from hop to hop */
	__u32 expect;		/* likewise: the level that the next node must have */
	__u32 reserved;
};
#define EXO_BTREE_ABSENT	0
#define EXO_BTREE_FOUND		1
#define EXO_BTREE_RESULT_SMALL	(16u + EXO_INDEX_INLINE_MAX + EXO_INDEX_SLACK_BYTES)
#define EXO_BTREE_RESULT_LARGE	(16u + EXO_INDEX_VALUE_MAX + EXO_INDEX_SLACK_BYTES)
EXO_INDEX_ASSERT(sizeof(struct exo_btree_result) == 16);

#endif /* EXO_INDEX_H */
