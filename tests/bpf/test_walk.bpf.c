// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the reads of its arguments one after the other, each of its own length at any byte, and keeps a sum of
 * what each block holds: see test_walk.h. The loop there looks at 32 bytes.
 */
#include "exo.bpf.h"
#include "test_walk.h"

static __always_inline int look(const __u8 *block, __u32 size, __u64 seed, __u64 *sum)
{
	if (!block)
		return -EIO;
	*sum = exo_test_walk_sum(block, size, seed);
	return 0;
}

#define LOOK(size) hop->len >= (size) ? look(exo_block(hop, (size)), (size), seed, sum) :

/* With the largest size that there is of it. */
static int sum_of(const struct exo_hop *hop, __u64 seed, __u64 *sum)
{
	const int none = -EIO;

	return EXO_TEST_WALK_SIZES(LOOK) none;
}

static int read_on(struct exo_hop *hop, const struct test_walk_args *args, __u32 at)
{
	barrier_var(at);
	if (at >= EXO_TEST_WALK_READS)
		return -EINVAL;
	return exo_read(hop, args->read[at].offset, args->read[at].len) ?: EXO_NEXT;
}

SEC("struct_ops/start")
int BPF_PROG(test_walk_start, struct exo_hop *hop)
{
	const struct test_walk_args *args = exo_args(hop, sizeof(*args));

	return args ? read_on(hop, args, 0) : -EINVAL;
}

SEC("struct_ops/step")
int BPF_PROG(test_walk_step, struct exo_hop *hop)
{
	const struct test_walk_args *args = exo_args(hop, sizeof(*args));
	struct test_walk_result *result = exo_result(hop, sizeof(*result));
	__u32 at = hop->hop;
	__u64 sum = 0;
	int err;

	barrier_var(at);
	if (!args || !result || at >= EXO_TEST_WALK_READS)
		return -EINVAL;
	if (hop->offset != args->read[at].offset || hop->len != args->read[at].len)
		return -EBADMSG;
	err = sum_of(hop, args->seed + at, &sum);
	if (err)
		return err;
	result->sum[at] = sum;
	if (at + 1 < args->count)
		return read_on(hop, args, at + 1);
	return exo_report(hop, at + 1, sizeof(*result)) ?: EXO_DONE;
}

EXO_PROGRAM(test_walk, test_walk_start, test_walk_step, NULL);
EXO_LICENSE;
