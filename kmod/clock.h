/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A clock to bound the time of interrupts with: cheap, of this CPU alone, and good for differences
 * of one CPU only. It counts in ticks of its own.
 */
#ifndef EXO_CLOCK_H
#define EXO_CLOCK_H

#include <linux/jump_label.h>
#include <linux/sched/clock.h>
#include <linux/types.h>

#ifdef CONFIG_X86_TSC
#include <asm/msr.h>

DECLARE_STATIC_KEY_TRUE(exo_clock_is_tsc);

static inline u64 exo_clock(void)
{
	return static_branch_likely(&exo_clock_is_tsc) ? rdtsc() : local_clock();
}
#else
static inline u64 exo_clock(void)
{
	return local_clock();
}
#endif

u64 exo_clock_ticks(u64 ns);
void exo_clock_init(void);

#endif /* EXO_CLOCK_H */
