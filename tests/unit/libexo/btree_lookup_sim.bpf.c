// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the lookup program's own code without the module: the kfuncs become reads of maps, and one
 * run of this program is one hop. The test beside it plays the module.
 */
#define EXO_BPF_H
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include <linux/exo.h>

#include "exo_index.h"

#define EINVAL	22
#define EBADMSG	74
#define NULL	((void *)0)

struct sim {
	struct exo_hop hop;
	__u64 read_offset;
	__u64 value;
	__u32 read_len;
	__u32 reported_len;
	__s32 verdict;
	__u32 reserved;
};

#define ONE_VALUE(name, size, flags)			\
	struct {					\
		__uint(type, BPF_MAP_TYPE_ARRAY);	\
		__uint(max_entries, 1);			\
		__uint(map_flags, flags);		\
		__uint(key_size, sizeof(__u32));	\
		__uint(value_size, size);		\
	} name SEC(".maps")

ONE_VALUE(sim_block, EXO_INDEX_NODE_BYTES, BPF_F_RDONLY_PROG);
ONE_VALUE(sim_args, EXO_BTREE_ARGS_LONG, BPF_F_RDONLY_PROG);
ONE_VALUE(sim_result, EXO_BTREE_RESULT_LARGE, 0);
ONE_VALUE(sim_state, sizeof(struct sim), 0);

static __always_inline void *only(void *map)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(map, &key);
}

static __always_inline struct sim *sim_of(struct exo_hop *hop)
{
	return (struct sim *)hop;
}

static __always_inline int exo_read(struct exo_hop *hop, __u64 offset, __u32 len)
{
	sim_of(hop)->read_offset = offset;
	sim_of(hop)->read_len = len;
	return 0;
}

static __always_inline int exo_report(struct exo_hop *hop, __u64 value, __u32 len)
{
	sim_of(hop)->value = value;
	sim_of(hop)->reported_len = len;
	return 0;
}

#define exo_block(hop, size) only(&sim_block)
#define exo_args(hop, size) ((hop)->args_len < (size) ? NULL : only(&sim_args))
#define exo_result(hop, size) ((hop)->result_len < (size) ? NULL : only(&sim_result))
#define BPF_PROG(name, arguments) static __always_inline name(arguments)
#define EXO_PROGRAM(program, start, step, finish) struct program##_unused
#define EXO_LICENSE struct exo_license_below
#pragma push_macro("SEC")
#undef SEC
#define SEC(name)

#include "../../../bpf/btree_lookup.bpf.c"

#pragma pop_macro("SEC")

char exo_license[] SEC("license") = "GPL";

SEC("syscall")
int one_hop(void *context)
{
	struct sim *sim = only(&sim_state);

	if (!sim)
		return 1;
	sim->verdict = btree_lookup_step(&sim->hop);
	return 0;
}
