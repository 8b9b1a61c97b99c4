/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much of a CPU traversals take before the scheduler gets a say: in interrupts and in workers
 * of high priority. What is over that goes on in workers that are scheduled as every other task;
 * workers.c sees to it.
 *
 * Of every window a CPU gives its tenants a part of it, by weight among those that came in this
 * window or the one before; what one has overspent it pays back later, so that one's excess never
 * pushes another one out. After a step that was too long, that program's next one for that tenant on
 * that CPU is made by such a worker, and so on until one was in time. A program whose steps are too
 * long again and again for a tenant is run for it there only, with interrupts on, until they are quick
 * again. It is a matter of the tenant, because the arguments that make a step long are, and a program
 * is everybody's.
 */
#ifndef EXO_BUDGET_H
#define EXO_BUDGET_H

#include <linux/percpu.h>
#include <linux/types.h>

#include "clock.h"

struct exo_program;
struct exo_tenant;
struct exo_tenant_cpu;
struct exo_traversal;

/*
 * A stay in an interrupt; what it refers to is kept by RCU, even if the traversal ends meanwhile.
 */
struct exo_stay {
	struct exo_tenant *tenant;
	const struct exo_program *program;
	u64 begun;			/* in exo_clock()'s ticks */
};

/* A step of a slow program runs on this CPU, below whatever asks. */
DECLARE_PER_CPU(bool, exo_budget_slow_step);

static inline bool exo_budget_cpu_is_slow(void)
{
	return this_cpu_read(exo_budget_slow_step);
}

/* A CPU's; all times are in exo_clock()'s ticks. */
struct exo_window {
	u64 start;
	const struct exo_tenant *last;	/* to leave, and with time left; NULL = look into the books */
	u32 weights;			/* of the tenants that came since then */
	u32 before;			/* in the window before it */
	u64 spent;			/* by all */
	u64 share;			/* of each unit of weight, with EXO_SHARE_SHIFT */
};

DECLARE_PER_CPU(struct exo_window, exo_windows);
extern u64 exo_window_ticks;

/* A stay that begins now. */
static __always_inline struct exo_stay exo_budget_stay(struct exo_tenant *tenant,
						       const struct exo_program *program)
{
	return (struct exo_stay){ tenant, program, exo_clock() };
}

/**
 * exo_budget_was_last() - whether exo_budget_enter() is spared
 * @stay: of whoever was the last one here, with time left
 *
 * A tenant that is gone may be taken for one that got its memory, for a single stay.
 *
 * Context: interrupt, with interrupts off.
 */
static __always_inline bool exo_budget_was_last(const struct exo_stay *stay)
{
	const struct exo_window *window = this_cpu_ptr(&exo_windows);

	return likely(window->last == stay->tenant &&
		      stay->begun - window->start < exo_window_ticks);
}

bool exo_budget_enter(const struct exo_stay *stay);
bool exo_budget_is_over(const struct exo_stay *stay);
void exo_budget_leave(const struct exo_stay *stay);
void exo_budget_charge(struct exo_tenant *tenant, u64 ticks, bool urgent);
bool exo_budget_is_slow(const struct exo_traversal *t);
void exo_budget_judge(struct exo_tenant *tenant, const struct exo_program *program, u64 ticks);
void exo_budget_judge_slow(struct exo_tenant *tenant, const struct exo_program *program, u64 ticks);
void exo_budget_begin_slow(const struct exo_program *program);
void exo_budget_end_slow(const struct exo_program *program);
bool exo_budget_has_more(const struct exo_tenant *tenant);
u64 exo_budget_ns(const struct exo_tenant_cpu *cpu);
void exo_budget_init(void);

#endif /* EXO_BUDGET_H */
