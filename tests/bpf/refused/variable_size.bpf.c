// SPDX-License-Identifier: GPL-2.0-only
/* Refused: the size that bounds a block must be a constant. */
/* expect: is not a const */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	const __u8 *block = exo_block(hop, hop->len);

	return block ? EXO_DONE : -EINVAL;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
