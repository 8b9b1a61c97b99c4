// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a step has to end. */
/* expect: infinite loop|too many instructions|program is too large|back-edge */
#include "exo.bpf.h"

volatile int one = 1;

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	while (one)
		;
	return EXO_DONE;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
