// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a hop must be the one that the program was given. */
/* expect: must point to scalar */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	struct exo_hop mine = {};

	return exo_read(&mine, 0, 4096);
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
