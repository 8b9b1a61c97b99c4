// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads at a fixed stride, whatever the blocks hold, so that it runs on devices without data. Ends after
 * args.count blocks; with count 0 only the hop limit ends it.
 */
#include "exo.bpf.h"
#include "test_args.h"

SEC("struct_ops/step")
int BPF_PROG(test_stride_step, struct exo_hop *hop)
{
	const struct test_stride_args *args = exo_args(hop, sizeof(*args));
	__u64 next;

	if (!args)
		return -EINVAL;
	if (hop->hop + 1 == args->count)
		return exo_report(hop, hop->hop + 1, 0) ?: EXO_DONE;
	next = hop->offset + args->stride;
	if (next + args->len > hop->range_end)
		next = hop->range_start;
	return exo_read(hop, next, args->len) ?: EXO_NEXT;
}

EXO_PROGRAM(test_stride, NULL, test_stride_step, NULL);
EXO_LICENSE;
