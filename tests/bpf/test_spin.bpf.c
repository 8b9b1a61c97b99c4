// SPDX-License-Identifier: GPL-2.0-only
/* As test_stride, but each step computes for as long as its arguments say. */
#include "exo.bpf.h"
#include "test_args.h"

static int spin(__u32 round, __u64 *sum)
{
	*sum += bpf_get_prandom_u32() ^ round;
	return 0;
}

SEC("struct_ops/step")
int BPF_PROG(test_spin_step, struct exo_hop *hop)
{
	const struct test_spin_args *args = exo_args(hop, sizeof(*args));
	__u64 next, sum = 0;

	if (!args)
		return -EINVAL;
	bpf_loop(args->rounds, spin, &sum, 0);
	if (hop->hop + 1 == args->stride.count)
		return exo_report(hop, sum, 0) ?: EXO_DONE;
	next = hop->offset + args->stride.stride;
	if (next + args->stride.len > hop->range_end)
		next = hop->range_start;
	return exo_read(hop, next, args->stride.len) ?: EXO_NEXT;
}

EXO_PROGRAM(test_spin, NULL, test_spin_step, NULL);
EXO_LICENSE;
