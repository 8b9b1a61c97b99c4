// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a hop made of the file's own bytes. */
/* expect: must point to scalar */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	const struct exo_hop *mine = exo_block(hop, 256);

	return mine ? exo_report(mine, 1, 0) : -EINVAL;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
