// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a read before the block, by an index that the caller gives. */
/* expect: out of bounds|min value is negative */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	const __s32 *args = exo_args(hop, sizeof(*args));
	const __u8 *block = exo_block(hop, 512);

	if (!args || !block || *args > 500)
		return -EINVAL;
	return block[*args] & 1;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
