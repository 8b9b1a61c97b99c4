// SPDX-License-Identifier: GPL-2.0-only
/* Refused: what lies behind the hop is the kernel's. */
/* expect: access beyond struct|beyond the end of */
#include "exo.bpf.h"

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	return *(volatile __u32 *)((void *)hop + sizeof(*hop) + 64) & 1;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
