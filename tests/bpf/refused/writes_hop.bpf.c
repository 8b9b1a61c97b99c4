// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a program may not change what it is told about the hop. */
/* expect: may write its result */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	hop->offset = 0;
	return EXO_DONE;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
