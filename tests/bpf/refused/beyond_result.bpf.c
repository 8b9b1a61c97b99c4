// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a write beyond the size of the result that was asked for. */
/* expect: invalid access to memory */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	__u8 *result = exo_result(hop, 8);

	if (!result)
		return -EINVAL;
	result[8] = 1;
	return EXO_DONE;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
