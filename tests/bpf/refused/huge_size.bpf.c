// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a size of which the verifier would keep less than the module sees. */
/* expect: exceeds u32 max */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	return exo_block(hop, 0x100000001) ? EXO_DONE : -EINVAL;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
