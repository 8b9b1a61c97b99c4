// SPDX-License-Identifier: GPL-2.0-only
/* Refused: programs run in interrupts and cannot sleep. */
/* expect: attach to unsupported member step */
#include "exo.bpf.h"

SEC("struct_ops.s/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	return EXO_DONE;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
