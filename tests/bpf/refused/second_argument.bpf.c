// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a step is given one thing and no more. */
/* expect: doesn't have 2-th argument|invalid bpf_context access */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop, __u64 more)
{
	return more & 1;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
