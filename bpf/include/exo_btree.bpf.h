/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Searching and copying within one node of an index (exo_index.h), for BPF programs and for user
 * space alike. Which node comes next, and how it is read, is the caller's.
 *
 * Nothing in a node is trusted: whatever its bytes say, no access leaves its 4096 bytes, and what
 * cannot be right is -EBADMSG. Keys to search for must be followed by EXO_INDEX_SLACK_BYTES zeros.
 */
#ifndef EXO_BTREE_BPF_H
#define EXO_BTREE_BPF_H

#include "exo_index.h"

#ifdef __bpf__

#define EXO_BTREE_INLINE static __always_inline
#define EXO_BTREE_FUNCTION static inline __noinline
#define EXO_BTREE_EBADMSG 74

/*
 * Leaves the enclosing loop when the kernel's count of eight million iterations is used up, which
 * none of ours comes near. It lets the verifier look at a loop's body once instead of at each round
 * (may_goto, from Linux 6.9; spelled in bytes because clang knows it from version 19 only).
 */
#define EXO_BTREE_BOUND							\
	({								\
		__label__ leave, go_on;					\
		asm volatile goto("1: .byte 0xe5;"			\
				  ".byte 0;"				\
				  ".long ((%l[leave] - 1b - 8) / 8) & 0xffff;" \
				  ".short 0"				\
				  :::: leave);				\
		goto go_on;						\
leave:		break;							\
go_on:		;							\
	})

/* Keeps clang from merging or moving a check that the verifier wants to see on this very register. */
#define EXO_BTREE_OPAQUE(x) asm volatile("" : "+r"(x))

#define exo_btree_load32(p) (*(const __u32 *)(p))
#define exo_btree_load64(p) (*(const __u64 *)(p))
#define exo_btree_store64(p, value) (*(__u64 *)(p) = (value))

#else

#include <string.h>

#define EXO_BTREE_INLINE static inline
#define EXO_BTREE_FUNCTION static inline
#define EXO_BTREE_EBADMSG 74
#define EXO_BTREE_BOUND do { } while (0)
#define EXO_BTREE_OPAQUE(x) do { } while (0)

static inline __u32 exo_btree_load32(const void *p)
{
	__u32 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static inline __u64 exo_btree_load64(const void *p)
{
	__u64 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static inline void exo_btree_store64(void *p, __u64 value)
{
	memcpy(p, &value, sizeof(value));
}

#endif /* __bpf__ */

/* The highest offset at which eight bytes can be fetched from a node. */
#define EXO_BTREE_LAST_WORD (EXO_INDEX_NODE_BYTES - 8u)

/* Where a search ended. */
struct exo_btree_place {
	__u32 slot;	/* leaf: the match, or the first key beyond; inner: the child to go to */
	__u32 equal;	/* leaf: slot is the key that was looked for */
};

/* Is this 4096-byte block a node of this build that belongs at this offset? 0 or -EBADMSG. */
EXO_BTREE_INLINE int exo_btree_check(const void *block, __u64 offset, __u64 build_id)
{
	const struct exo_index_node *node = (const struct exo_index_node *)block;

	if (node->magic != EXO_INDEX_MAGIC || node->offset != offset || node->build_id != build_id)
		return -EXO_BTREE_EBADMSG;
	return 0;
}

/* What exo_btree_compare() compares, in as few registers as a BPF function may be passed. */
#define EXO_BTREE_PAIR(node_part, key_part) ((__u64)(node_part) << 32 | (__u32)(key_part))

/*
 * a < b as 1 or 0 without a branch: where paths do not part, the verifier need not follow each of
 * them, and a processor cannot guess wrong.
 */
#define EXO_BTREE_LESS(a, b) (((~(a) & (b)) | ((~(a) | (b)) & ((a) - (b)))) >> 63)

#define EXO_BTREE_BAD_ORDER 2

/* Zero, though the verifier cannot tell. */
EXO_BTREE_INLINE __u64 exo_btree_nothing(const void *block)
{
	__u64 nothing = exo_btree_load64(block), same = nothing;

	EXO_BTREE_OPAQUE(same);
	return nothing & ~same;
}

/*
 * Orders bytes of a node against bytes of a key: `at` is the pair of their offsets, `len` that of
 * their lengths; the key's buffer has `key_bytes` (a constant, slack included). Returns -1, 0 or 1 as
 * the node's are smaller, equal or larger, or EXO_BTREE_BAD_ORDER if the offsets cannot be.
 * At most EXO_INDEX_KEY_MAX / 8 rounds.
 *
 * The loop moves offsets of which the verifier cannot tell where they start: after a round or two it
 * finds them in the range that it has already seen, and is done.
 */
EXO_BTREE_FUNCTION long exo_btree_compare(const void *block, const void *key, __u64 at, __u64 len,
					  __u32 key_bytes)
{
	__u64 a = len >> 32, b = (__u32)len, left = a < b ? a : b;
	__u64 nothing = exo_btree_nothing(block);
	__u32 node_at, key_at;

	node_at = (at >> 32) + nothing;
	key_at = at + nothing;
	while (left) {
		__u64 node_word, key_word;

		EXO_BTREE_BOUND;
		EXO_BTREE_OPAQUE(node_at);
		EXO_BTREE_OPAQUE(key_at);
		if (node_at > EXO_BTREE_LAST_WORD || key_at > key_bytes - 8)
			return EXO_BTREE_BAD_ORDER;
		node_word = exo_btree_load64((const char *)block + node_at);
		key_word = exo_btree_load64((const char *)key + key_at);
		if (left < 8) {
			/* What lies behind the shorter of the two does not count. */
			node_word <<= (8 - left) * 8;
			key_word <<= (8 - left) * 8;
			left = 8;
		}
		if (node_word != key_word) {
			a = __builtin_bswap64(node_word);
			b = __builtin_bswap64(key_word);
			break;
		}
		left -= 8;
		node_at += 8;
		key_at += 8;
	}
	return (long)EXO_BTREE_LESS(b, a) - (long)EXO_BTREE_LESS(a, b);
}

/*
 * Finds a key in a leaf, or the child that covers it in an inner node, where slot 0 stays out of the
 * comparison. `key_bytes` as above. Returns 0 or -EBADMSG.
 * A binary search: EXO_BTREE_ROUNDS rounds, as a node has no more than EXO_INDEX_SLOTS_MAX slots.
 */
#define EXO_BTREE_ROUNDS 9
EXO_BTREE_INLINE int exo_btree_search(const void *block, const void *key, __u32 key_len,
				      const __u32 key_bytes, struct exo_btree_place *place)
{
	const struct exo_index_node *node = (const struct exo_index_node *)block;
	const struct exo_index_slot *slots =
		(const struct exo_index_slot *)((const char *)block + EXO_INDEX_SLOTS_AT);
	__u64 low = node->level, high = node->count, first;
	__u32 prefix = node->prefix_len, head, round;
	long order = 1;

	first = low = (low + 255) >> 8;	/* 1 in an inner node, else 0 */
	if (high > EXO_INDEX_SLOTS_MAX || high < first)
		return -EXO_BTREE_EBADMSG;
	if (prefix) {
		__u32 common = key_len < prefix ? key_len : prefix;

		order = exo_btree_compare(block, key, EXO_BTREE_PAIR(node->prefix_at, 0),
					  EXO_BTREE_PAIR(prefix, common), key_bytes);
		if (order == EXO_BTREE_BAD_ORDER)
			return -EXO_BTREE_EBADMSG;
		if (order) {
			/* Every key of the node lies on the same side of this one. */
			low = order > 0 ? low : high;
			goto placed;
		}
		order = 1;
	}
	EXO_BTREE_OPAQUE(prefix);
	if (prefix > key_bytes - 8)
		return -EXO_BTREE_EBADMSG;
	head = __builtin_bswap32(exo_btree_load32((const char *)key + prefix));
	for (round = 0; round < EXO_BTREE_ROUNDS && low < high; round++) {
		__u64 middle = (low + high) >> 1, smaller;

		EXO_BTREE_OPAQUE(middle);
		if (middle >= EXO_INDEX_SLOTS_MAX)
			return -EXO_BTREE_EBADMSG;
		order = (long)slots[middle].head - (long)head;
		if (!order) {
			/* The four bytes of the head are compared once more, which keeps this simple. */
			order = exo_btree_compare(
				block, key, EXO_BTREE_PAIR(slots[middle].key_at, prefix),
				EXO_BTREE_PAIR(slots[middle].key_len, key_len - prefix), key_bytes);
			if (order == EXO_BTREE_BAD_ORDER)
				return -EXO_BTREE_EBADMSG;
			if (!order) {
				place->equal = 1;
				place->slot = middle;
				return 0;
			}
		}
		/* All ones if the slot's key is smaller: low = middle + 1, else high = middle. */
		smaller = (__u64)(order >> 63);
		EXO_BTREE_OPAQUE(smaller);
		low = (low & ~smaller) | ((middle + 1) & smaller);
		high = (high & smaller) | (middle & ~smaller);
	}
placed:
	/* Of an inner node, the child is the last one whose key is not beyond. */
	place->equal = 0;
	place->slot = low - first;
	return 0;
}

/* Where the bytes after a slot's key start; an offset that cannot be is -EBADMSG. */
EXO_BTREE_INLINE int exo_btree_payload(const void *block, __u32 slot)
{
	const struct exo_index_slot *entry;
	__u32 at;

	EXO_BTREE_OPAQUE(slot);
	if (slot >= EXO_INDEX_SLOTS_MAX)
		return -EXO_BTREE_EBADMSG;
	entry = (const struct exo_index_slot *)((const char *)block + EXO_INDEX_SLOTS_AT) + slot;
	at = (__u32)entry->key_at + entry->key_len;
	if (at > EXO_BTREE_LAST_WORD)
		return -EXO_BTREE_EBADMSG;
	return (int)at;
}

/* The child that an inner node's slot points to. Returns 0 or -EBADMSG. */
EXO_BTREE_INLINE int exo_btree_child(const void *block, __u32 slot, __u64 *child)
{
	int at = exo_btree_payload(block, slot);
	__u32 from = (__u32)at;

	EXO_BTREE_OPAQUE(from);
	if (from > EXO_BTREE_LAST_WORD)
		return -EXO_BTREE_EBADMSG;
	*child = exo_btree_load64((const char *)block + from);
	return 0;
}

/* A value as a leaf's slot describes it: inline at `at`, or from `overflow` on. */
struct exo_btree_value {
	__u32 len;
	__u32 at;		/* in the node; 0 if the value is in overflow nodes */
	__u64 overflow;
};

EXO_BTREE_INLINE int exo_btree_value(const void *block, __u32 slot, struct exo_btree_value *value)
{
	int at = exo_btree_payload(block, slot);
	__u32 from = (__u32)at, len;

	EXO_BTREE_OPAQUE(from);
	if (from > EXO_BTREE_LAST_WORD)
		return -EXO_BTREE_EBADMSG;
	len = exo_btree_load32((const char *)block + from);
	from += 4;
	value->len = len;
	value->overflow = 0;
	if (len <= EXO_INDEX_INLINE_MAX) {
		if (from + len > EXO_INDEX_NODE_BYTES)
			return -EXO_BTREE_EBADMSG;
		value->at = from;
		return 0;
	}
	if (len > EXO_INDEX_VALUE_MAX)
		return -EXO_BTREE_EBADMSG;
	value->at = 0;
	EXO_BTREE_OPAQUE(from);
	if (from > EXO_BTREE_LAST_WORD)
		return -EXO_BTREE_EBADMSG;
	value->overflow = exo_btree_load64((const char *)block + from);
	return value->overflow ? 0 : -EXO_BTREE_EBADMSG;
}

/*
 * Copies `len` bytes at `at` of a node to `to` of a buffer of `to_max` bytes (a constant); up to seven
 * bytes more may be overwritten. Returns 0 or -EBADMSG. At most EXO_INDEX_OVERFLOW_BYTES / 8 rounds.
 */
EXO_BTREE_INLINE int exo_btree_copy(const void *block, __u32 at, __u32 len, void *buffer, __u32 to,
				    const __u32 to_max)
{
	__u64 nothing = exo_btree_nothing(block);

	at += nothing;
	to += nothing;
	for (; len; len = len < 8 ? 0 : len - 8) {
		EXO_BTREE_BOUND;
		EXO_BTREE_OPAQUE(at);
		EXO_BTREE_OPAQUE(to);
		if (at > EXO_BTREE_LAST_WORD || to > to_max - 8)
			return -EXO_BTREE_EBADMSG;
		exo_btree_store64((char *)buffer + to,
				  exo_btree_load64((const char *)block + at));
		at += 8;
		to += 8;
	}
	return 0;
}

#endif /* EXO_BTREE_BPF_H */
