/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much of a CPU traversals take before the scheduler gets a say: in interrupts and in workers
 * of high priority. What is over that goes on in workers that are scheduled as every other task;
 * drive.c sees to it.
 *
 * Of every window a CPU gives its tenants a part of it, in equal shares among those that came in
 * this window or the one before; what one has overspent it pays back later, so that one's excess
 * never pushes another one out. A program whose steps are too long again and again for a tenant is
 * run for it in such workers only, with interrupts on. It is a matter of the tenant, because the
 * arguments that make a step long are, and a program is everybody's.
 */
#ifndef EXO_BUDGET_H
#define EXO_BUDGET_H

#include <linux/types.h>

struct exo_program_counters;
struct exo_tenant;
struct exo_tenant_cpu;
struct exo_traversal;

/*
 * A stay in an interrupt; what it refers to is kept by RCU, even if the traversal ends meanwhile.
 */
struct exo_stay {
	struct exo_tenant *tenant;
	struct exo_tenant_cpu *cpu;
	struct exo_program_counters __percpu *counters;
	u32 program_id;
	u64 begun;			/* in exo_clock()'s ticks */
};

bool exo_budget_enter(struct exo_stay *stay, const struct exo_traversal *t);
void exo_budget_leave(const struct exo_stay *stay);
void exo_budget_charge(struct exo_tenant *tenant, u64 ticks, bool urgent);
bool exo_budget_is_slow(const struct exo_traversal *t);
u64 exo_budget_ns(const struct exo_tenant_cpu *cpu);
void exo_budget_init(void);

#endif /* EXO_BUDGET_H */
