// SPDX-License-Identifier: GPL-2.0-only
/* Reads block after block, around and around, as long as each begins with the expected number. */
#include "exo.bpf.h"
#include "test_args.h"

SEC("struct_ops/step")
int BPF_PROG(test_guard_step, struct exo_hop *hop)
{
	const struct test_guard_args *args = exo_args(hop, sizeof(*args));
	const __u64 *number = exo_block(hop, sizeof(*number));
	__u64 next = hop->offset + 4096;

	if (!args || !number)
		return -EINVAL;
	if (*number != args->expected)
		return exo_report(hop, *number, 0) ?: -EINVAL;
	if (next >= hop->file_size)
		next = 0;
	return exo_read(hop, next, 4096) ?: EXO_NEXT;
}

EXO_PROGRAM(test_guard, NULL, test_guard_step, NULL);
EXO_LICENSE;
