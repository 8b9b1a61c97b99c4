// SPDX-License-Identifier: GPL-2.0-only
/* A program with start and finish. The outcome's value is the offset that was read; the map counts. */
#include "exo.bpf.h"
#include "test_args.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

static void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&calls, &which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("struct_ops/start")
int BPF_PROG(test_hooks_start, struct exo_hop *hop)
{
	const struct test_hooks_args *args = exo_args(hop, sizeof(*args));

	count(0);
	if (!args)
		return -EINVAL;
	/* There is no block yet, no such slot, and no room for so long a result. */
	if (exo_block(hop, 1) || exo_file_size(hop, ~0U) || !exo_file_size(hop, 0) ||
	    exo_report(hop, 4711, ~0U) != -E2BIG)
		return -EIO;
	if (!args->keep)
		exo_read(hop, args->first_offset, args->len);
	return args->start_verdict;
}

SEC("struct_ops/step")
int BPF_PROG(test_hooks_step, struct exo_hop *hop)
{
	count(1);
	return exo_report(hop, hop->offset, 0) ?: EXO_DONE;
}

SEC("struct_ops/finish")
void BPF_PROG(test_hooks_finish, struct exo_hop *hop)
{
	/* Nothing can be read any more, and what was reported stands. */
	if (exo_read(hop, 0, 4096) == -EINVAL && !exo_block(hop, 1) &&
	    exo_read_from(hop, 0, 0, 4096, 0) == -EINVAL &&
	    exo_read_from(hop, ~0U, ~0ULL, ~0U, 0) == -EINVAL && !exo_file_size(hop, ~0U) &&
	    exo_report(hop, 4711, ~0U) == -E2BIG)
		count(2);
}

EXO_PROGRAM(test_hooks, test_hooks_start, test_hooks_step, test_hooks_finish);
EXO_LICENSE;
