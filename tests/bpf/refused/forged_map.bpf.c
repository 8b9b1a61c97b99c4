// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a hop from a map, where the program could have put anything. */
/* expect: must point to scalar */
#include "exo.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exo_hop);
} hops SEC(".maps");

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	__u32 key = 0;
	struct exo_hop *mine = bpf_map_lookup_elem(&hops, &key);

	return mine ? exo_report(mine, 1, 0) : -EINVAL;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
