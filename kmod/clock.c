// SPDX-License-Identifier: GPL-2.0-only
/* The clock's tick: that of the time stamp counter where there is one, else a nanosecond. */
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/math64.h>
#include <linux/time64.h>

#include "clock.h"

#ifdef CONFIG_X86_TSC
#include <asm/cpufeature.h>
#include <asm/tsc.h>

bool exo_clock_is_tsc __ro_after_init;

/**
 * exo_clock_ticks() - a time as the clock counts it
 * @ns: less than an hour
 *
 * Of a processor whose counter follows its frequency, that is the highest one's.
 */
u64 exo_clock_ticks(u64 ns)
{
	return exo_clock_is_tsc ? mul_u64_u32_div(ns, tsc_khz, USEC_PER_SEC) : ns;
}

void __init exo_clock_init(void)
{
	exo_clock_is_tsc = boot_cpu_has(X86_FEATURE_TSC) && tsc_khz;
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
