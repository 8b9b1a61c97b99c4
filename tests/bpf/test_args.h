/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Arguments and results that the test programs here share with the tests that run them. */
#ifndef EXO_TEST_ARGS_H
#define EXO_TEST_ARGS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* test_chain: each block begins so; the chain ends with next = EXO_TEST_CHAIN_END. */
#define EXO_TEST_CHAIN_END	(~0ULL)
struct test_chain_block {
	__u64 next;			/* file offset of the next block */
	__u64 value;
};

struct test_chain_result {
	__u64 blocks;
	__u64 sum;			/* of all values */
};

/* test_stride: count reads of len bytes, stride bytes apart, starting over at the range's end. */
struct test_stride_args {
	__u64 stride;
	__u32 count;			/* 0 = for ever */
	__u32 len;
};

/* test_spin: the same, with so many rounds of a loop in each step. */
struct test_spin_args {
	struct test_stride_args stride;
	__u32 rounds;
	__u32 reserved;
};

/* test_act: the first step does this and nothing else. */
struct test_act_args {
	__u64 offset;
	__u32 len;
	__u32 read;			/* whether to call exo_read() */
	__s32 verdict;
	__u32 report_len;		/* for exo_report(); its return value goes to the result */
};

/* test_hooks: start chooses first_offset unless keep is set; start's own verdict is start_verdict. */
struct test_hooks_args {
	__u64 first_offset;
	__u32 len;
	__u32 keep;
	__s32 start_verdict;
	__u32 reserved;
};

/* test_copy: copies block bytes [at, at + EXO_TEST_COPY_BYTES) to the result. */
#define EXO_TEST_COPY_BYTES	64
struct test_copy_args {
	__u32 at;
	__u32 reserved;
};

/* test_levels: reads the blocks of the file from its first one on, but as the last of so many the leaf. */
struct test_levels_args {
	__u64 leaf;
	__u32 levels;
	__u32 reserved;
};

/* test_fill: fills so much of the result, word after word, in so many steps. */
#define EXO_TEST_FILL_WORDS	8192
#define EXO_TEST_FILL_STEPS	8
#define EXO_TEST_FILL_FACTOR	0x9e3779b97f4a7c15ULL

/* test_walk: these reads one after the other; the result has a sum for each, see test_walk.h. */
#define EXO_TEST_WALK_READS	240
struct test_walk_read {
	__u64 offset;
	__u32 len;
	__u32 reserved;
};

struct test_walk_args {
	__u64 seed;
	__u32 count;
	__u32 reserved;
	struct test_walk_read read[EXO_TEST_WALK_READS];
};

struct test_walk_result {
	__u64 sum[EXO_TEST_WALK_READS];
};

/* test_guard: every block begins with this number, or the traversal ends with EINVAL and what was there. */
struct test_guard_args {
	__u64 expected;
};

/* test_calls: the first step makes these calls, and returns verdict. */
#define EXO_TEST_CALLS		20
#define EXO_TEST_READ		1
#define EXO_TEST_READ_FROM	2
#define EXO_TEST_FILE_SIZE	3
#define EXO_TEST_REPORT		4
struct test_call {
	__u32 kind;			/* EXO_TEST_* */
	__u32 slot;
	__u64 offset;
	__u64 tag;			/* or the value of a report */
	__u32 len;
	__u32 reserved;
};

struct test_calls_args {
	__u32 count;
	__s32 verdict;
	struct test_call call[EXO_TEST_CALLS];
};

struct test_calls_result {
	__s64 ret[EXO_TEST_CALLS];
	__u64 tag;			/* of the last block that came after the first */
	__u32 slot;
	__u32 reserved;
};

/* test_tree: each block names its children; the result keeps those that wait for room. */
#define EXO_TEST_TREE_CHILDREN	16
#define EXO_TEST_TREE_WAITING	256
struct test_tree_child {
	__u32 slot;			/* of the set */
	__u32 reserved;
	__u64 offset;
	__u64 value;			/* of the child, which comes back as its tag */
};

struct test_tree_block {
	__u64 value;
	__u32 children;
	__u32 reserved;
	struct test_tree_child child[EXO_TEST_TREE_CHILDREN];
};

struct test_tree_result {
	__u64 sum;			/* of all values */
	__u32 blocks;
	__u32 most_pending;		/* highest hop->pending seen */
	__u32 refused;			/* reads for which there was no room at that moment */
	__u32 waiting;
	struct test_tree_child wait[EXO_TEST_TREE_WAITING];
};

#endif /* EXO_TEST_ARGS_H */
