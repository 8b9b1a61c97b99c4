/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many reads, and how many bytes, may go in a second. Who waits for that is fair.c's.
 *
 * Each limit is a moment: when all that was read so far would have been read at exactly the rate. A
 * read may go while that lies no further ahead than EXO_RATE_BURST_NS, and moves it by what it
 * costs.
 */
#ifndef EXO_RATE_H
#define EXO_RATE_H

#include <linux/list.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include <linux/timerqueue.h>
#include <linux/types.h>

#include "limits.h"

struct exo_rate {
	u32 reads;			/* per second; 0 = no limit */
	u64 bytes;			/* per second; 0 = no limit */
	struct exo_rate *above;		/* that must be kept, too; NULL = none */

	/* Guarded by the fair->lock of the disk. */
	u64 reads_at_ns;
	u64 bytes_at_ns;
	struct list_head turns;		/* that wait for it, the first come first */
	struct timerqueue_node node;	/* in fair->rates while somebody waits */
};

static inline void exo_rate_init(struct exo_rate *rate, u32 reads, u64 bytes)
{
	rate->reads = reads;
	rate->bytes = bytes;
	INIT_LIST_HEAD(&rate->turns);
	timerqueue_init(&rate->node);
}

/* When the next read may go: it may now, if that is not in the future. */
static inline u64 exo_rate_next_ns(const struct exo_rate *rate)
{
	u64 at_ns = 0;

	if (rate->reads)
		at_ns = rate->reads_at_ns;
	if (rate->bytes)
		at_ns = max(at_ns, rate->bytes_at_ns);
	return at_ns > EXO_RATE_BURST_NS ? at_ns - EXO_RATE_BURST_NS : 0;
}

static inline void exo_rate_charge(struct exo_rate *rate, u64 now_ns, u32 bytes)
{
	if (rate->reads)
		rate->reads_at_ns = max(rate->reads_at_ns, now_ns) + NSEC_PER_SEC / rate->reads;
	if (rate->bytes)
		rate->bytes_at_ns = max(rate->bytes_at_ns, now_ns) +
				    div64_u64((u64)bytes * NSEC_PER_SEC, rate->bytes);
}

#endif /* EXO_RATE_H */
