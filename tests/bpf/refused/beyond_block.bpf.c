// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a read beyond the size that was asked for. */
/* expect: invalid access to memory */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	const __u8 *block = exo_block(hop, 8);

	return block ? block[8] & 1 : -EINVAL;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
