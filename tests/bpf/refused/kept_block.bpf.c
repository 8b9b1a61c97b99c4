// SPDX-License-Identifier: GPL-2.0-only
/* Refused: a block is there for one step; what a map remembers of it is a number. */
/* expect: invalid mem access .scalar|must point to scalar|leaking|invalid mem access */
#include "exo.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} kept SEC(".maps");

SEC("struct_ops/step")
int BPF_PROG(bad_step, struct exo_hop *hop)
{
	__u32 key = 0;
	__u64 *block = bpf_map_lookup_elem(&kept, &key);

	if (!block)
		return -EINVAL;
	if (*block)
		return *(volatile __u8 *)*block & 1;
	*block = (__u64)exo_block(hop, 8);
	return EXO_DONE;
}

EXO_PROGRAM(bad, NULL, bad_step, NULL);
EXO_LICENSE;
