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

u64 exo_window_ticks __ro_after_init;	/* 0 = not known yet */

static unsigned int step_budget_us = EXO_DEFAULT_STEP_BUDGET_US;
static u64 step_ticks __read_mostly = U64_MAX;	/* the same, as the clock counts it */

static int set_step_budget_us(const char *text, const struct kernel_param *param)
{
	int ret = param_set_uint_minmax(text, param, EXO_MIN_STEP_BUDGET_US,
					EXO_MAX_STEP_BUDGET_US);

	if (!ret && exo_window_ticks)
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

DEFINE_PER_CPU(struct exo_window, exo_windows);

static u64 budget_ticks __ro_after_init;
static u64 most_ticks __ro_after_init;
static bool any_is_slow __read_mostly;	/* or was */

DEFINE_PER_CPU(bool, exo_budget_slow_step);

/* For the rest of the window, or until another tenant comes. */
static void set_share(const struct exo_window *window, struct exo_tenant_cpu *cpu)
{
	cpu->share = (window->share * cpu->weight) >> EXO_SHARE_SHIFT;
}

/* Begins a new window of this CPU, or opens the tenant's books in the current one. */
static noinline void turn_page(struct exo_window *window, const struct exo_tenant *tenant,
			       struct exo_tenant_cpu *cpu, u64 now)
{
	u64 passed;

	window->last = NULL;
	if (now - window->start >= exo_window_ticks) {
		window->before = now - window->start < 2 * exo_window_ticks ? window->weights : 0;
		window->weights = 0;
		window->spent = 0;
		window->start = now;
	}
	if (cpu->window_start == window->start)
		return;
	if (cpu->over && now - cpu->over_at >= EXO_INTERRUPT_DEBT_WINDOWS * exo_window_ticks)
		cpu->over = 0;
	cpu->weight = READ_ONCE(tenant->weight);
	window->weights += cpu->weight;
	window->share = div_u64(budget_ticks << EXO_SHARE_SHIFT,
				max(window->weights, window->before));
	set_share(window, cpu);
	/* What was overspent is paid back by the windows that have passed since. */
	passed = div64_u64(window->start - cpu->window_start, exo_window_ticks);
	if (passed >= EXO_INTERRUPT_DEBT_WINDOWS)
		cpu->spent = 0;
	/* A virtual machine may have stood still meanwhile; so much it may take to forget that. */
	cpu->spent = min(cpu->spent, EXO_INTERRUPT_DEBT_WINDOWS * cpu->share);
	cpu->spent -= min(cpu->spent, passed * cpu->share);
	cpu->window_start = window->start;
}

static struct exo_window *open_window(const struct exo_tenant *tenant, struct exo_tenant_cpu *cpu,
				      u64 now)
{
	struct exo_window *window = this_cpu_ptr(&exo_windows);

	if (unlikely(now - window->start >= exo_window_ticks || cpu->window_start != window->start))
		turn_page(window, tenant, cpu, now);
	else
		set_share(window, cpu);
	return window;
}

static bool is_open(const struct exo_window *window, const struct exo_tenant_cpu *cpu)
{
	return cpu->spent < cpu->share && window->spent < most_ticks;
}

static __always_inline atomic_t *heat_of(struct exo_tenant *tenant, u32 program_id)
{
	return &tenant->heat[program_id % ARRAY_SIZE(tenant->heat)];
}

static bool is_hot(struct exo_tenant *tenant, u32 program_id)
{
	return atomic_read(heat_of(tenant, program_id)) >= EXO_HEAT_LIMIT;
}

/**
 * exo_budget_is_slow() - whether a traversal's program is left to workers for its tenant
 * @t: driven by the caller
 *
 * Context: any.
 */
bool exo_budget_is_slow(const struct exo_traversal *t)
{
	return unlikely(READ_ONCE(any_is_slow)) && is_hot(t->tenant, t->program_id);
}

/**
 * exo_budget_enter() - whether a traversal may be driven in this interrupt
 * @stay: of the traversal
 *
 * An interrupt handler that is itself interrupted by another one may count a moment twice.
 *
 * Context: hard or soft interrupt; call exo_budget_leave() in the same one.
 */
bool exo_budget_enter(const struct exo_stay *stay)
{
	struct exo_tenant_cpu *cpu = this_cpu_ptr(stay->tenant->cpu);
	const struct exo_program *program = stay->program;

	if (!is_open(open_window(stay->tenant, cpu, stay->begun), cpu))
		return false;
	if (unlikely(cpu->over == program->id))
		return false;
	return likely(!READ_ONCE(any_is_slow)) ||
	       !(is_hot(stay->tenant, program->id) || this_cpu_read(program->counters->busy));
}

/*
 * A virtual CPU that was not run meanwhile makes any step long, now and then. So each that was in
 * time makes up for a part of one that was not, and only a program that is slow often gets hot.
 */
static noinline void judge_rare(struct exo_tenant *tenant, const struct exo_program *program,
				u64 ticks, bool counts)
{
	atomic_t *heat = heat_of(tenant, program->id);

	if (ticks <= READ_ONCE(step_ticks)) {
		/* It is warm for as long as the mark is there, or the mark gets old. */
		if (atomic_add_unless(heat, -1, 0) &&
		    this_cpu_read(tenant->cpu->over) == program->id)
			this_cpu_write(tenant->cpu->over, 0);
		return;
	}
	if (counts)
		this_cpu_inc(program->counters->slow);
	this_cpu_write(tenant->cpu->over, program->id);
	this_cpu_write(tenant->cpu->over_at, exo_clock());
	this_cpu_write(exo_windows.last, NULL);
	if (atomic_read(heat) < EXO_HEAT_MOST &&
	    atomic_add_return(EXO_HEAT_OF_SLOW, heat) >= EXO_HEAT_LIMIT)
		WRITE_ONCE(any_is_slow, true);
}

static __always_inline void judge(struct exo_tenant *tenant, const struct exo_program *program,
				  u64 ticks, bool counts)
{
	if (unlikely(ticks > READ_ONCE(step_ticks) ||
		     atomic_read(heat_of(tenant, program->id))))
		judge_rare(tenant, program, ticks, counts);
}

/**
 * exo_budget_judge() - a program has run with interrupts off
 * @tenant: for which
 * @program: that did
 * @ticks: of exo_clock(), for how long
 *
 * Context: any, on the CPU where it ran.
 */
void exo_budget_judge(struct exo_tenant *tenant, const struct exo_program *program, u64 ticks)
{
	judge(tenant, program, ticks, true);
}

/**
 * exo_budget_judge_slow() - a slow program has run, with interrupts on
 * @tenant: for which
 * @program: that did
 * @ticks: of exo_clock(), for how long
 *
 * Context: any, on the CPU where it ran.
 */
void exo_budget_judge_slow(struct exo_tenant *tenant, const struct exo_program *program, u64 ticks)
{
	judge(tenant, program, ticks, false);
}

/**
 * exo_budget_is_over() - whether a stay has been so long that what follows is for others
 * @stay: in this interrupt
 *
 * Context: as exo_budget_enter().
 */
bool exo_budget_is_over(const struct exo_stay *stay)
{
	return exo_clock() - stay->begun > READ_ONCE(step_ticks);
}

/**
 * exo_budget_leave() - the traversal has been driven as far as it went
 * @stay: as exo_budget_enter() filled it
 *
 * Context: as there.
 */
void exo_budget_leave(const struct exo_stay *stay)
{
	struct exo_tenant_cpu *cpu = this_cpu_ptr(stay->tenant->cpu);
	struct exo_window *window = this_cpu_ptr(&exo_windows);
	u64 ticks = exo_clock() - stay->begun;

	cpu->spent += ticks;
	cpu->ticks += ticks;
	this_cpu_add(exo_windows.spent, ticks);
	judge(stay->tenant, stay->program, ticks, true);
	window->last = !READ_ONCE(any_is_slow) && !cpu->over && is_open(window, cpu) ?
			       stay->tenant : NULL;
}

/**
 * exo_budget_begin_slow() - a worker runs a slow program on this CPU, with interrupts on
 * @program: that interrupts must leave alone here
 *
 * Context: process, stays on the CPU until exo_budget_end_slow().
 */
void exo_budget_begin_slow(const struct exo_program *program)
{
	this_cpu_write(program->counters->busy, true);
	this_cpu_write(exo_budget_slow_step, true);
	/* Since a program is slow, nobody becomes the last any more. */
	this_cpu_write(exo_windows.last, NULL);
	barrier();
}

/**
 * exo_budget_end_slow() - it has returned
 * @program: as above
 */
void exo_budget_end_slow(const struct exo_program *program)
{
	barrier();
	this_cpu_write(exo_budget_slow_step, false);
	this_cpu_write(program->counters->busy, false);
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

	/* The worker may have moved between CPUs whose clocks differ. */
	if ((s64)ticks < 0)
		return;
	local_irq_save(flags);
	cpu = this_cpu_ptr(tenant->cpu);
	cpu->ticks += ticks;
	if (urgent) {
		open_window(tenant, cpu, exo_clock())->last = NULL;
		cpu->spent += ticks;
	}
	local_irq_restore(flags);
}

/**
 * exo_budget_has_more() - whether a tenant has any of its part of this CPU left
 * @tenant: that wants some
 *
 * Context: any.
 */
bool exo_budget_has_more(const struct exo_tenant *tenant)
{
	const struct exo_window *window;
	const struct exo_tenant_cpu *cpu;
	unsigned long flags;
	u64 now, passed;
	bool more;

	local_irq_save(flags);
	window = this_cpu_ptr(&exo_windows);
	cpu = this_cpu_ptr(tenant->cpu);
	now = exo_clock();
	passed = div64_u64(now - cpu->window_start, exo_window_ticks);
	/* Nothing is opened here, perhaps in the middle of somebody else's stay. */
	more = !cpu->share || passed >= EXO_INTERRUPT_DEBT_WINDOWS ||
	       cpu->spent < (passed + 1) * cpu->share;
	if (now - window->start < exo_window_ticks && window->spent >= most_ticks)
		more = false;
	local_irq_restore(flags);
	return more;
}

/**
 * exo_budget_ns() - what a tenant has spent on a CPU, for people
 * @cpu: its books there
 */
u64 exo_budget_ns(const struct exo_tenant_cpu *cpu)
{
	return mul_u64_u64_div_u64(READ_ONCE(cpu->ticks), EXO_INTERRUPT_WINDOW_NS, exo_window_ticks);
}

void __init exo_budget_init(void)
{
	exo_window_ticks = exo_clock_ticks(EXO_INTERRUPT_WINDOW_NS);
	budget_ticks = exo_clock_ticks(EXO_INTERRUPT_BUDGET_NS);
	most_ticks = exo_clock_ticks(EXO_INTERRUPT_MOST_NS);
	step_ticks = exo_clock_ticks((u64)step_budget_us * NSEC_PER_USEC);
}
