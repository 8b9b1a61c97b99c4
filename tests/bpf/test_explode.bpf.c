// SPDX-License-Identifier: GPL-2.0-only
/* Asks for all the reads that it can get, all over the range, and never ends by itself. */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(test_explode_step, struct exo_hop *hop)
{
	__u64 blocks = (hop->range_end - hop->range_start) / hop->logical_block_bytes;

	if (!blocks)
		return -EINVAL;
	for (int i = 0; i < 64; i++) {
		__u64 block = bpf_get_prandom_u32() % blocks;

		exo_read(hop, hop->range_start + block * hop->logical_block_bytes,
			 hop->logical_block_bytes);
	}
	return EXO_NEXT;
}

EXO_PROGRAM(test_explode, NULL, test_explode_step, NULL);
EXO_LICENSE;
