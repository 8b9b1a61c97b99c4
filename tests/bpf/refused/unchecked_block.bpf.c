// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a block may be absent, which must be checked. */
/* expect: invalid mem access .rdonly_mem_or_null */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	const __u8 *block = exo_block(hop, 8);

	return block[0] & 1;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
