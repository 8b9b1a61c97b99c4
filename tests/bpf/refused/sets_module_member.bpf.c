// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a value for a member by which the module finds the step's program. */
/* expect: Invalid argument */
#include "exo.bpf.h"

struct exo_program_ops___more {
	int (*step)(struct exo_hop *hop);
	char name[EXO_PROGRAM_NAME_BYTES];
	int step_fd;
};

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	return EXO_DONE;
}

SEC(".struct_ops.link")
struct exo_program_ops___more bad = {
	.step = (void *)bad_step,
	.name = "bad",
	.step_fd = 1,
};
EXO_LICENSE;
