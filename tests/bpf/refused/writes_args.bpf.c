// SPDX-License-Identifier: GPL-2.0-only
/* Refused: arguments are read-only. */
/* expect: cannot write into rdonly_mem */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	__u8 *args = (__u8 *)exo_args(hop, 8);

	if (!args)
		return -EINVAL;
	args[0] = 1;
	return EXO_DONE;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
