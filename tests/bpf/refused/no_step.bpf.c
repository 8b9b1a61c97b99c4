// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a program needs a step. */
/* expect: Invalid argument */
#include "exo.bpf.h"

SEC("struct_ops/start")
int BPF_PROG(bad_start, struct exo_hop *hop)
{
	return EXO_DONE;
}

EXO_PROGRAM(bad, bad_start, NULL, NULL);
EXO_LICENSE;
