/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a traversal program needs: kernel types, exo's types, the kfuncs it may call, and a macro
 * that makes it a named program. Start a program with nothing but
 *
 *	#include "exo.bpf.h"
 *
 *	SEC("struct_ops/step")
 *	int BPF_PROG(follow_step, struct exo_hop *hop)
 *	{
 *		const __u64 *block = exo_block(hop, 8);
 *
 *		if (!block)
 *			return -EINVAL;
 *		if (*block)
 *			return exo_read(hop, *block, hop->logical_block_bytes) ?: EXO_NEXT;
 *		return exo_report(hop, hop->offset, 0) ?: EXO_DONE;
 *	}
 *
 *	EXO_PROGRAM(follow, NULL, follow_step, NULL);
 *	EXO_LICENSE;
 *
 * Programs run where a drive's completion runs, mostly with interrupts off: they cannot sleep and
 * should be short. One that takes long again and again is run with interrupts on. A program never
 * interrupts itself, so what a call keeps in a per-CPU map is its own until it returns; after that,
 * other traversals use it. Another program may run in between: do not share per-CPU maps between
 * programs. They never see where a block lies on the device.
 */
#ifndef EXO_BPF_H
#define EXO_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <linux/exo.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

/* vmlinux.h carries no macros; these are the errors that a program of ours is likely to return. */
#ifndef ENOENT
#define ENOENT	2
#define EIO	5
#define E2BIG	7
#define EINVAL	22
#define ENOSPC	28
#define ERANGE	34
#define EOVERFLOW 75
#define EBADMSG	74
#define EUCLEAN	117
#endif

/*
 * As the module declares it. libbpf matches the members by name with the running module's, so a
 * program that leaves start or finish out is fine.
 */
struct exo_program_ops {
	/*
	 * Optional, before the first read. EXO_NEXT after exo_read() chooses the first read;
	 * EXO_NEXT alone keeps the caller's; EXO_DONE ends at once. There is no block yet:
	 * exo_block() gives NULL.
	 */
	int (*start)(struct exo_hop *hop);
	/*
	 * Required, for each block that arrived. Returns an enum exo_verdict or a negative errno.
	 */
	int (*step)(struct exo_hop *hop);
	/*
	 * Optional, once after the last step of a traversal whatever its end, where a program gives
	 * back what it keeps per traversal. There is no block any more. It is not called for one that
	 * ends more than 100 ms after the program was detached.
	 */
	void (*finish)(struct exo_hop *hop);
	char name[EXO_PROGRAM_NAME_BYTES];
};

/*
 * The verifier bounds the memory that a kfunc returns by its size argument, but only behind a typed
 * pointer; the macros below give it back as void, for a program to call it what it likes. Size 0
 * gives NULL.
 */

/*
 * The block that arrived, to be read up to rdonly_buf_size bytes, a constant. NULL if the block is
 * shorter than that, or there is none. Bytes past the end of the file (hop->len) read as zeros.
 */
extern const __u8 *exo_block(const struct exo_hop *hop, const size_t rdonly_buf_size) __ksym;
#define exo_block(hop, bytes)	((const void *)exo_block((hop), (bytes)))

/* The caller's arguments. NULL if they are shorter than rdonly_buf_size, a constant. */
extern const __u8 *exo_args(const struct exo_hop *hop, const size_t rdonly_buf_size) __ksym;
#define exo_args(hop, bytes)	((const void *)exo_args((hop), (bytes)))

/*
 * The result area: zeroed before the traversal starts, kept from hop to hop, copied out at its end
 * as far as exo_report() says. NULL if it is shorter than rdwr_buf_size, a constant.
 */
extern __u8 *exo_result(const struct exo_hop *hop, const size_t rdwr_buf_size) __ksym;
#define exo_result(hop, bytes)	((void *)exo_result((hop), (bytes)))

/*
 * Says what to read next, in the file whose block arrived. A traversal with a fan-out may call it
 * several times in a step; the reads run at the same time, and step is called for each as it
 * arrives. Whether a read is allowed is found out after the verdict. Returns 0, -ENOSPC when as many
 * reads are under way as the caller allows, or -EINVAL where nothing can be read any more (in
 * finish).
 */
extern int exo_read(const struct exo_hop *hop, __u64 offset, __u32 len) __ksym;

/*
 * The same, of any file of a set. When the block arrives hop->tag is the tag, which tells a program
 * that has asked for several what it wanted this one for.
 */
extern int exo_read_from(const struct exo_hop *hop, __u32 slot, __u64 offset, __u32 len,
			 __u64 tag) __ksym;

/* The size of a file of the set, or 0 if it has no such slot. */
extern __u64 exo_file_size(const struct exo_hop *hop, __u32 slot) __ksym;

/*
 * Sets outcome.value and how many bytes of the result area are valid; the last call counts.
 * Returns 0, or -E2BIG if the result area is shorter than result_len.
 */
extern int exo_report(const struct exo_hop *hop, __u64 value, __u32 result_len) __ksym;

/* Makes a program of the functions and names it; a function may be NULL, except step. */
#define EXO_PROGRAM(program, start_function, step_function, finish_function)	\
	SEC(".struct_ops.link")							\
	struct exo_program_ops program = {					\
		.start = (void *)(start_function),				\
		.step = (void *)(step_function),				\
		.finish = (void *)(finish_function),				\
		.name = #program,						\
	}

/* The helpers that programs call are open to GPL-compatible programs only. */
#define EXO_LICENSE	char exo_license[] SEC("license") = "GPL"

#endif /* EXO_BPF_H */
