// SPDX-License-Identifier: GPL-2.0-only
/* The clock's tick: that of the time stamp counter where there is one, else a nanosecond. */
#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/math64.h>
#include <linux/time64.h>

#include "clock.h"

#ifdef CONFIG_X86_TSC
#include <asm/cpufeature.h>
#include <asm/tsc.h>

DEFINE_STATIC_KEY_TRUE(exo_clock_is_tsc);

/**
 * exo_clock_ticks() - a time as the clock counts it
 * @ns: less than an hour
 *
 * Of a processor whose counter follows its frequency, that is the highest one's.
 */
u64 exo_clock_ticks(u64 ns)
{
	if (!static_branch_likely(&exo_clock_is_tsc))
		return ns;
	return mul_u64_u32_div(ns, tsc_khz, USEC_PER_SEC);
}

void __init exo_clock_init(void)
{
	if (!boot_cpu_has(X86_FEATURE_TSC) || !tsc_khz)
		static_branch_disable(&exo_clock_is_tsc);
}
#else
u64 exo_clock_ticks(u64 ns)
{
	return ns;
}

void __init exo_clock_init(void)
{
}
#endif
