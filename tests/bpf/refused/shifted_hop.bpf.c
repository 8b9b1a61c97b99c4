// SPDX-License-Identifier: GPL-2.0-only
/* Refused: nor may it point into the hop. */
/* expect: expected pointer to STRUCT exo_hop_context */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	return exo_read((void *)hop + 8, 0, 4096);
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
