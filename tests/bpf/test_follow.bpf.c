// SPDX-License-Identifier: GPL-2.0-only
/*
 * Goes where the first eight bytes of each block say, and does nothing else. No loop here; ends at
 * the caller's hop limit.
 */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(test_follow_step, struct exo_hop *hop)
{
	const __u64 *next = exo_block(hop, sizeof(*next));

	if (!next)
		return -EINVAL;
	if (!hop->hops_left)
		return EXO_DONE;
	return exo_read(hop, *next, hop->logical_block_bytes) ?: EXO_NEXT;
}

EXO_PROGRAM(test_follow, NULL, test_follow_step, NULL);
EXO_LICENSE;
