// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks for areas of no bytes, which the verifier would let it use as if they had one. The value says
 * which of them it was given.
 */
#include "exo.bpf.h"

static __u64 given(const void *area, __u64 which)
{
	return area ? which : 0;
}

SEC("struct_ops/step")
int BPF_PROG(test_zero_step, struct exo_hop *hop)
{
	__u64 areas = given(exo_block(hop, 0), 1) | given(exo_args(hop, 0), 2) |
		      given(exo_result(hop, 0), 4);

	return exo_report(hop, areas, 0) ?: EXO_DONE;
}

EXO_PROGRAM(test_zero, NULL, test_zero_step, NULL);
EXO_LICENSE;
