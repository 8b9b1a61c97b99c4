/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Milliseconds as ticks of the kernel's clock, for any number of them. msecs_to_jiffies() takes
 * 2^31 and more, which is 25 days, for "for ever".
 */
#ifndef EXO_TICKS_H
#define EXO_TICKS_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "host_types.h"
#endif

/**
 * exo_ticks() - how many ticks it takes until so much time has passed
 * @ms: of time
 * @hz: ticks of a second; at most 2^20
 *
 * Context: any.
 * Return: never too few.
 */
static inline u64 exo_ticks(u32 ms, u32 hz)
{
	return ((u64)ms * hz + 999) / 1000;
}

#endif /* EXO_TICKS_H */
