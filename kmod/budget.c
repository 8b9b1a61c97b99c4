// SPDX-License-Identifier: GPL-2.0-only
/* Keeps the books of budget.h, per CPU and without locks. */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/percpu.h>

#include "budget.h"
#include "clock.h"
#include "limits.h"
#include "program_ops.h"
#include "tenant.h"
#include "traversal.h"

static u64 window_ticks __ro_after_init;	/* 0 = not known yet */

static unsigned int step_budget_us = EXO_DEFAULT_STEP_BUDGET_US;
static u64 step_ticks = U64_MAX;	/* the same, as the clock counts it */

static int set_step_budget_us(const char *text, const struct kernel_param *param)
{
	int ret = param_set_uint_minmax(text, param, EXO_MIN_STEP_BUDGET_US,
					EXO_MAX_STEP_BUDGET_US);

	if (!ret && window_ticks)
		WRITE_ONCE(step_ticks, exo_clock_ticks((u64)step_budget_us * NSEC_PER_USEC));
	return ret;
}

static const struct kernel_param_ops step_budget_us_ops = {
	.set = set_step_budget_us,
	.get = param_get_uint,
};
module_param_cb(step_budget_us, &step_budget_us_ops, &step_budget_us, 0644);
MODULE_PARM_DESC(step_budget_us,
		 "Microseconds that a completion's step may take in an interrupt; a program that takes longer again and again is left to workers");

/* All times are in exo_clock()'s ticks. */
struct window {
	u64 start;
	u32 tenants;			/* that came since then */
	u32 before;			/* in the window before it */
	u64 spent;			/* by all */
	u64 share;			/* of each of them */
};

static DEFINE_PER_CPU(struct window, windows);

static u64 budget_ticks __ro_after_init;
static u64 most_ticks __ro_after_init;
static bool any_is_slow __read_mostly;	/* or was */

/* Begins a new window of this CPU, or opens the tenant's books in the current one. */
static noinline void turn_page(struct window *window, struct exo_tenant_cpu *cpu, u64 now)
{
	u64 passed;

	if (now - window->start >= window_ticks) {
		window->before = now - window->start < 2 * window_ticks ? window->tenants : 0;
		window->tenants = 0;
		window->spent = 0;
		window->start = now;
	}
	if (cpu->window_start == window->start)
		return;
	/* What was overspent is paid back by the windows that have passed since. */
	passed = div64_u64(window->start - cpu->window_start, window_ticks);
	if (passed >= EXO_INTERRUPT_DEBT_WINDOWS)
		cpu->spent = 0;
	else
		cpu->spent -= min(cpu->spent, passed * budget_ticks);
	cpu->window_start = window->start;
	window->tenants++;
	window->share = budget_ticks / max(window->tenants, window->before);
}

static struct window *open_window(struct exo_tenant_cpu *cpu, u64 now)
{
	struct window *window = this_cpu_ptr(&windows);

	if (unlikely(now - window->start >= window_ticks || cpu->window_start != window->start))
		turn_page(window, cpu, now);
	return window;
}

static atomic_t *heat_of(struct exo_tenant *tenant, u32 program_id)
{
	return &tenant->heat[program_id % ARRAY_SIZE(tenant->heat)];
}

/**
 * exo_budget_is_slow() - whether a traversal's program is left to workers for its tenant
 * @t: driven by the caller
 *
 * Context: any.
 */
bool exo_budget_is_slow(const struct exo_traversal *t)
{
	return unlikely(READ_ONCE(any_is_slow)) &&
	       atomic_read(heat_of(t->tenant, t->program_id)) >= EXO_HEAT_LIMIT;
}

/**
 * exo_budget_enter() - whether a traversal may be driven in this interrupt
 * @stay: filled if so
 * @t: driven by the caller
 *
 * An interrupt handler that is itself interrupted by another one may count a moment twice.
 *
 * Context: hard or soft interrupt; call exo_budget_leave() in the same one.
 */
bool exo_budget_enter(struct exo_stay *stay, const struct exo_traversal *t)
{
	struct exo_tenant_cpu *cpu = this_cpu_ptr(t->tenant->cpu);
	u64 now = exo_clock();
	const struct window *window = open_window(cpu, now);

	if (cpu->spent >= window->share || window->spent >= most_ticks)
		return false;
	if (unlikely(READ_ONCE(any_is_slow)) &&
	    (exo_budget_is_slow(t) || this_cpu_read(t->program->counters->busy)))
		return false;
	*stay = (struct exo_stay){
		.tenant = t->tenant,
		.cpu = cpu,
		.counters = t->program->counters,
		.program_id = t->program_id,
		.begun = now,
	};
	return true;
}

/*
 * A virtual CPU that was not run meanwhile makes any step long, now and then. So each that was in
 * time makes up for a part of one that was not, and only a program that is slow often gets hot.
 */
static void judge(const struct exo_stay *stay, u64 ticks)
{
	atomic_t *heat = heat_of(stay->tenant, stay->program_id);

	if (unlikely(ticks > READ_ONCE(step_ticks))) {
		this_cpu_inc(stay->counters->slow);
		if (atomic_add_return(EXO_HEAT_OF_SLOW, heat) >= EXO_HEAT_LIMIT)
			WRITE_ONCE(any_is_slow, true);
	} else if (unlikely(atomic_read(heat))) {
		atomic_add_unless(heat, -1, 0);
	}
}

/**
 * exo_budget_leave() - the traversal has been driven as far as it went
 * @stay: as exo_budget_enter() filled it
 *
 * Context: as there.
 */
void exo_budget_leave(const struct exo_stay *stay)
{
	u64 ticks = exo_clock() - stay->begun;

	stay->cpu->spent += ticks;
	stay->cpu->ticks += ticks;
	this_cpu_add(windows.spent, ticks);
	judge(stay, ticks);
}

/**
 * exo_budget_charge() - a worker has spent time on a traversal of a tenant
 * @tenant: of the traversal
 * @ticks: of exo_clock(), spent
 * @urgent: with the priority of an interrupt, more or less
 *
 * Context: process.
 */
void exo_budget_charge(struct exo_tenant *tenant, u64 ticks, bool urgent)
{
	struct exo_tenant_cpu *cpu;
	unsigned long flags;

	local_irq_save(flags);
	cpu = this_cpu_ptr(tenant->cpu);
	cpu->ticks += ticks;
	if (urgent) {
		open_window(cpu, exo_clock());
		cpu->spent += ticks;
	}
	local_irq_restore(flags);
}

/**
 * exo_budget_ns() - what a tenant has spent on a CPU, for people
 * @cpu: its books there
 */
u64 exo_budget_ns(const struct exo_tenant_cpu *cpu)
{
	return mul_u64_u64_div_u64(READ_ONCE(cpu->ticks), EXO_INTERRUPT_WINDOW_NS, window_ticks);
}

void __init exo_budget_init(void)
{
	window_ticks = exo_clock_ticks(EXO_INTERRUPT_WINDOW_NS);
	budget_ticks = exo_clock_ticks(EXO_INTERRUPT_BUDGET_NS);
	most_ticks = exo_clock_ticks(EXO_INTERRUPT_MOST_NS);
	step_ticks = exo_clock_ticks((u64)step_budget_us * NSEC_PER_USEC);
}
