// SPDX-License-Identifier: GPL-2.0-only
/* Reads as a lookup in an index does whose upper nodes are always the same: all but the last block. No loop. */
#include "exo.bpf.h"
#include "test_args.h"

SEC("struct_ops/step")
int BPF_PROG(test_levels_step, struct exo_hop *hop)
{
	const struct test_levels_args *args = exo_args(hop, sizeof(*args));
	__u32 block = hop->logical_block_bytes;
	__u32 next = hop->hop + 1;

	if (!args)
		return -EINVAL;
	if (next >= args->levels)
		return EXO_DONE;
	return exo_read(hop, next + 1 == args->levels ? args->leaf : (__u64)next * block, block) ?:
	       EXO_NEXT;
}

EXO_PROGRAM(test_levels, NULL, test_levels_step, NULL);
EXO_LICENSE;
