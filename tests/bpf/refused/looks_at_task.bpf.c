// SPDX-License-Identifier: GPL-2.0-only
/* Refused: the interrupted task is not the program'\''s business. */
/* expect: program of this type cannot use helper|unknown func */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	return bpf_get_current_task() ? EXO_DONE : EXO_NEXT;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
