// SPDX-License-Identifier: GPL-2.0-only
/* Does what its arguments say, once: how tests reach every end of a traversal. */
#include "exo.bpf.h"
#include "test_args.h"

SEC("struct_ops/step")
int BPF_PROG(test_act_step, struct exo_hop *hop)
{
	const struct test_act_args *args = exo_args(hop, sizeof(*args));
	__s32 *result = exo_result(hop, sizeof(*result));

	if (!args || !result)
		return -EINVAL;
	if (hop->hop)
		return EXO_DONE;
	*result = exo_report(hop, hop->len, args->report_len);
	if (args->read)
		exo_read(hop, args->offset, args->len);
	return args->verdict;
}

EXO_PROGRAM(test_act, NULL, test_act_step, NULL);
EXO_LICENSE;
