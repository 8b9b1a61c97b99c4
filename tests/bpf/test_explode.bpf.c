// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks for all the reads that it can get, all over the range, and never ends by itself. Computes in
 * each step for as long as its arguments say, if it has those of test_spin.
 */
#include "exo.bpf.h"
#include "test_args.h"

static int spin(__u32 round, __u64 *sum)
{
	*sum += bpf_get_prandom_u32() ^ round;
	return 0;
}

SEC("struct_ops/step")
int BPF_PROG(test_explode_step, struct exo_hop *hop)
{
	__u64 blocks = (hop->range_end - hop->range_start) / hop->logical_block_bytes;
	const struct test_spin_args *args = exo_args(hop, sizeof(*args));
	__u64 sum = 0;

	if (!blocks)
		return -EINVAL;
	if (args)
		bpf_loop(args->rounds, spin, &sum, 0);
	for (int i = 0; i < 64; i++) {
		__u64 block = bpf_get_prandom_u32() % blocks;

		exo_read(hop, hop->range_start + block * hop->logical_block_bytes,
			 hop->logical_block_bytes);
	}
	return EXO_NEXT;
}

EXO_PROGRAM(test_explode, NULL, test_explode_step, NULL);
EXO_LICENSE;
