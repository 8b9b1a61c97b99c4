// SPDX-License-Identifier: GPL-2.0-only
/* Copies a piece of the first block to the result; the loop is bounded by EXO_TEST_COPY_BYTES. */
#include "exo.bpf.h"
#include "test_args.h"

#define BLOCK_BYTES	4096

SEC("struct_ops/step")
int BPF_PROG(test_copy_step, struct exo_hop *hop)
{
	const struct test_copy_args *args = exo_args(hop, sizeof(*args));
	__u8 *result = exo_result(hop, EXO_TEST_COPY_BYTES);
	const __u8 *block = exo_block(hop, BLOCK_BYTES);
	__u32 at;

	if (!args || !result || !block)
		return -EINVAL;
	at = args->at;
	if (at > BLOCK_BYTES - EXO_TEST_COPY_BYTES)
		return -ERANGE;
	for (int i = 0; i < EXO_TEST_COPY_BYTES; i++)
		result[i] = block[at + i];
	return exo_report(hop, hop->len, EXO_TEST_COPY_BYTES) ?: EXO_DONE;
}

EXO_PROGRAM(test_copy, NULL, test_copy_step, NULL);
EXO_LICENSE;
