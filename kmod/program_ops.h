/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program type: one BPF struct_ops map is one named traversal program.
 *
 * Lifetime: found by id until it is detached, which gives its traversals a moment to end; after that
 * none of its members is called, since the BPF programs go. A traversal's reference keeps only
 * struct exo_program. It must not keep the programs: a read may be held back for as long as its
 * reader likes, and the kernel detaches all links of struct_ops under one lock.
 */
#ifndef EXO_PROGRAM_OPS_H
#define EXO_PROGRAM_OPS_H

#include <linux/completion.h>
#include <linux/filter.h>
#include <linux/kref.h>
#include <linux/percpu-refcount.h>
#include <linux/rcupdate.h>
#include <linux/uidgid.h>
#include <linux/xarray.h>

#include <linux/exo.h>

struct exo_ioctl_call;

/*
 * What the verifier knows a program's argument as. Programs call it struct exo_hop and see no more
 * of it. For a kfunc's argument that is a structure of numbers only, the verifier takes any memory
 * of that size, such as the program's stack; the pointer makes it insist on the object that the
 * program was given.
 */
struct exo_hop_context {
	struct exo_hop hop;
	const void *never_memory;	/* always NULL */
};

/* Seen by BPF: names and types are ABI. bpf/include/exo.bpf.h says what each member does. */
struct exo_program_ops {
	int (*start)(struct exo_hop_context *context);
	int (*step)(struct exo_hop_context *context);
	void (*finish)(struct exo_hop_context *context);
	char name[EXO_PROGRAM_NAME_BYTES];

	/* The module's own, which programs leave out; behind the others, as program_ops.c needs it. */
	int step_fd;
	const struct bpf_prog *step_prog;
};

struct exo_program_counters {
	u64 started;
	u64 ended;
	u64 steps;
	u64 slow;			/* stays in an interrupt that took too long */
	bool busy;			/* a worker runs it here, with interrupts on */
};

struct exo_program {
	/*
	 * Called only in an RCU read side, after a look at gone in the same one; so detaching need
	 * not wait for traversals, but only for calls.
	 */
	int (*start)(struct exo_hop_context *context);	/* NULL = none */
	int (*step)(struct exo_hop_context *context);
	void (*finish)(struct exo_hop_context *context);	/* NULL = none */
	const struct bpf_prog *step_prog;	/* what step leads to */

	u32 id;
	bool detaching;			/* traversals end at their next completion */
	bool gone;			/* no member is to be called any more */
	struct percpu_ref in_flight;	/* traversals */
	struct completion drained;	/* none is */
	struct kref ref;		/* one of whoever detaches it, one of all traversals */
	struct rcu_head rcu;
	struct exo_program_counters __percpu *counters;
	kuid_t uid;
	u64 attached_at_ns;
	char name[EXO_PROGRAM_NAME_BYTES];
};

struct exo_program *exo_program_get(u32 id);
void exo_program_put(struct exo_program *program);
int exo_program_find(struct exo_ioctl_call *call);
void exo_program_fill_entry(const struct exo_program *program, struct exo_program_entry *entry);
u64 exo_programs_now(void);
int exo_program_init(void);

extern struct xarray exo_programs;	/* by id; RCU */

/**
 * exo_program_step() - run a program's step
 * @program: referenced by the caller, and not gone
 * @context: of the traversal
 *
 * Around the trampoline behind program->step. That would enter an RCU read side, pin the task to its CPU
 * and set up what tracing helpers look for: a hundred instructions for what interrupts that are off
 * do as well, and for helpers that our programs do not have.
 *
 * Context: interrupts off.
 */
static __always_inline int exo_program_step(const struct exo_program *program,
					    struct exo_hop_context *context)
{
	const u64 arguments[] = { (unsigned long)context };

	return bpf_prog_run(program->step_prog, arguments);
}

#endif /* EXO_PROGRAM_OPS_H */
