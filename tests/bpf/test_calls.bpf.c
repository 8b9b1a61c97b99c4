// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls what its arguments say, with any values, in the first step; the loop is bounded by
 * EXO_TEST_CALLS. The value tells which of some sizes each area was given for.
 */
#include "exo.bpf.h"
#include "test_args.h"

/* The verifier wants constants. */
#define GIVEN(area, hop, first)						\
	((area(hop, 1) ? 1ULL << (first) : 0) |				\
	 (area(hop, 511) ? 2ULL << (first) : 0) |			\
	 (area(hop, 512) ? 4ULL << (first) : 0) |			\
	 (area(hop, 4096) ? 8ULL << (first) : 0) |			\
	 (area(hop, 4097) ? 16ULL << (first) : 0) |			\
	 (area(hop, 65536) ? 32ULL << (first) : 0) |			\
	 (area(hop, 0xffffffff) ? 64ULL << (first) : 0))

static __s64 call(struct exo_hop *hop, const struct test_call *c)
{
	switch (c->kind) {
	case EXO_TEST_READ:
		return exo_read(hop, c->offset, c->len);
	case EXO_TEST_READ_FROM:
		return exo_read_from(hop, c->slot, c->offset, c->len, c->tag);
	case EXO_TEST_FILE_SIZE:
		return exo_file_size(hop, c->slot);
	case EXO_TEST_REPORT:
		return exo_report(hop, c->tag, c->len);
	default:
		return 0;
	}
}

SEC("struct_ops/step")
int BPF_PROG(test_calls_step, struct exo_hop *hop)
{
	const struct test_calls_args *args = exo_args(hop, sizeof(*args));
	struct test_calls_result *result = exo_result(hop, sizeof(*result));
	__u64 given;

	if (!args || !result)
		return -EINVAL;
	if (hop->hop) {
		result->slot = hop->slot;
		result->tag = hop->tag;
		return hop->pending ? EXO_NEXT : EXO_DONE;
	}
	given = GIVEN(exo_block, hop, 0) | GIVEN(exo_args, hop, 8) | GIVEN(exo_result, hop, 16);
	exo_report(hop, given, sizeof(*result));
	for (__u32 i = 0; i < EXO_TEST_CALLS; i++) {
		if (i >= args->count)
			break;
		result->ret[i] = call(hop, &args->call[i]);
	}
	return args->verdict;
}

EXO_PROGRAM(test_calls, NULL, test_calls_step, NULL);
EXO_LICENSE;
