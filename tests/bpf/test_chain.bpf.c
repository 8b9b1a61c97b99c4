// SPDX-License-Identifier: GPL-2.0-only
/* Follows a chain of blocks. No loop here; the number of blocks is bounded by the grant's hop limit. */
#include "exo.bpf.h"
#include "test_args.h"

SEC("struct_ops/step")
int BPF_PROG(test_chain_step, struct exo_hop *hop)
{
	const struct test_chain_block *block = exo_block(hop, sizeof(*block));
	struct test_chain_result *result = exo_result(hop, sizeof(*result));

	if (!block || !result)
		return -EINVAL;
	result->blocks++;
	result->sum += block->value;
	if (block->next == EXO_TEST_CHAIN_END)
		return exo_report(hop, result->blocks, sizeof(*result)) ?: EXO_DONE;
	return exo_read(hop, block->next, 4096) ?: EXO_NEXT;
}

EXO_PROGRAM(test_chain, NULL, test_chain_step, NULL);
EXO_LICENSE;
