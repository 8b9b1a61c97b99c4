// SPDX-License-Identifier: GPL-2.0-only
/* Refused: programs of other kinds cannot call in. This one the kernel has for its own tests. */
/* expect: expected pointer to STRUCT exo_hop_context but R1 has a pointer to STRUCT */
#include "exo.bpf.h"

SEC("struct_ops/test_1")
int BPF_PROG(bad_test_1, struct bpf_dummy_ops_state *state)
{
	return state ? exo_read((void *)state, 0, 4096) : 0;
}

SEC(".struct_ops.link")
struct bpf_dummy_ops bad = {
	.test_1 = (void *)bad_test_1,
};
EXO_LICENSE;
