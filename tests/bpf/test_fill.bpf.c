// SPDX-License-Identifier: GPL-2.0-only
/* Fills all of a result of 64 KiB, an eighth in each step: a loop of 1024 words. Reads the same block again and again. */
#include "exo.bpf.h"
#include "test_args.h"

SEC("struct_ops/step")
int BPF_PROG(test_fill_step, struct exo_hop *hop)
{
	__u64 *words = exo_result(hop, EXO_TEST_FILL_WORDS * sizeof(*words));
	__u32 part = hop->hop % EXO_TEST_FILL_STEPS;

	if (!words)
		return -EINVAL;
	for (__u32 i = 0; i < EXO_TEST_FILL_WORDS / EXO_TEST_FILL_STEPS; i++) {
		__u32 at = i * EXO_TEST_FILL_STEPS + part;

		barrier_var(at);
		if (at < EXO_TEST_FILL_WORDS)
			words[at] = (at + 1) * EXO_TEST_FILL_FACTOR;
	}
	if (hop->hop + 1 < EXO_TEST_FILL_STEPS)
		return exo_read(hop, hop->offset, hop->len) ?: EXO_NEXT;
	return exo_report(hop, hop->hop + 1, EXO_TEST_FILL_WORDS * sizeof(*words)) ?: EXO_DONE;
}

EXO_PROGRAM(test_fill, NULL, test_fill_step, NULL);
EXO_LICENSE;
