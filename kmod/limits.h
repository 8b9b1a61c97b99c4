/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every bound of the module in one place. What a bound protects stands beside it. Those marked with
 * EXO_LIMIT() are module parameters, too (limits.c): the administrator sets them, up to the maximum
 * here, and they are in force for what begins afterwards.
 */
#ifndef EXO_LIMITS_H
#define EXO_LIMITS_H

#ifdef __KERNEL__ /* else a test on the host, which takes the numbers only */
#include <linux/compiler.h>
#endif

struct exo_limit {
	unsigned int value;		/* first, so that the parameter's functions find it */
	unsigned int least;
	unsigned int most;
};

#define EXO_LIMIT(_name)	extern struct exo_limit exo_limit_##_name

/* What the limit is now. */
#define exo_limit(_name)	READ_ONCE(exo_limit_##_name.value)

/* Extents of one pin: 40 MiB of kernel memory, charged to the daemon. */
#define EXO_MAX_EXTENTS			(1U << 20)

/* Blocks of one traversal: with 3 us per block the maximum holds a queue slot for 0.2 s. */
#define EXO_DEFAULT_HOPS		256U
#define EXO_MAX_HOPS			65536U
EXO_LIMIT(default_hops);
EXO_LIMIT(max_hops);

/*
 * Room for the blocks of one read: 64 KiB that begin at any byte touch one block more. Each read of a
 * traversal has a buffer of that size at most.
 */
#define EXO_MAX_LOGICAL_BLOCK_BYTES	4096U
#define EXO_MAX_HOP_BYTES		(65536U + EXO_MAX_LOGICAL_BLOCK_BYTES)

#define EXO_MAX_ARGS_BYTES		4096U
#define EXO_MAX_RESULT_BYTES		65536U

/* Workers of one volume that may sleep for its device, each a task; see workers.h. */
#define EXO_SUBMITTERS			128U

/* Reads of one traversal at once; each has a buffer. */
#define EXO_MAX_FAN_OUT			16U

/* Grants of one set: the slots that a traversal has entered fit one word. */
#define EXO_MAX_SLOTS			64U

/*
 * The node cache of a pin: its blocks (16 MiB at most), the largest that is kept, and how long one
 * that was used often holds its place against others.
 */
#define EXO_MAX_CACHE_BLOCKS		4096U
EXO_LIMIT(node_cache_blocks);
#define EXO_CACHE_BLOCK_BYTES		4096U
#define EXO_CACHE_MOST_USED		64U

/* Copies of the blocks that one traversal visited. */
#define EXO_MAX_BLOCKS_BYTES		(1U << 20)

/* Traversals of one batch; how many run at once is the grant's limit. */
#define EXO_MAX_BATCH			4096U

/* How long one traversal may take. */
#define EXO_DEFAULT_TIMEOUT_MS		1000U
#define EXO_MAX_TIMEOUT_MS		30000U
EXO_LIMIT(default_timeout_ms);
EXO_LIMIT(max_timeout_ms);

/* Concurrent traversals on one grant. */
#define EXO_DEFAULT_IN_FLIGHT		128U
#define EXO_MAX_IN_FLIGHT		4096U
EXO_LIMIT(default_in_flight);
EXO_LIMIT(max_in_flight);

/* Open grants of one user; a grant takes less than 1 KiB. */
#define EXO_DEFAULT_GRANTS_PER_USER	16384U
#define EXO_MAX_GRANTS_PER_USER		(1U << 20)
EXO_LIMIT(max_grants_per_user);

/*
 * Memory of traversals in flight on the grants of one user: a part of the machine's, or what the
 * administrator sets. At least a traversal with the largest areas and buffers must fit.
 */
#define EXO_USER_MEMORY_PART		8
#define EXO_MIN_USER_MEMORY_MIB		4U

/*
 * Grants derived one from another: a chain of that length is walked when the last one goes, and for
 * the rates of those that have one.
 */
#define EXO_MAX_DERIVE_DEPTH		16U

/*
 * Weights of tenants, and of a tenant's grants. A turn costs its bytes, but no less than
 * EXO_FAIR_LEAST_BYTES, below which a drive hardly notices a difference; costs are shifted so far
 * that the largest weight still tells them apart.
 */
#define EXO_DEFAULT_WEIGHT		EXO_WEIGHT_DEFAULT
#define EXO_MAX_WEIGHT			EXO_WEIGHT_MAX
#define EXO_FAIR_LEAST_BYTES		4096U
#define EXO_FAIR_SHIFT			16

/*
 * Reads in service of a volume that tenants share. A read that comes when so many are in service
 * waits for one of them, and then behind the rest in the drive; fewer leave a drive idle that works
 * on many at once.
 */
#define EXO_DEFAULT_FAIR_DEPTH		32U
#define EXO_MAX_FAIR_DEPTH		1024U
EXO_LIMIT(fair_depth);

/*
 * For so long a place is kept for a tenant that is behind; by default about as long as a process
 * needs to ask again.
 */
#define EXO_DEFAULT_FAIR_KEEP_US	500U
#define EXO_MAX_FAIR_KEEP_US		10000U
EXO_LIMIT(fair_keep_us);

/* A tenant that has read within so long counts as one that shares. */
#define EXO_ACTIVE_MS			100U

/*
 * Those that wait for their turn are looked at so often, whether they were revoked, cancelled or
 * have run out of time. So many are served or looked at under one lock; the next ones come so much
 * later, and are looked at after a rest of so many times as long as the looks took.
 */
#define EXO_FAIR_LOOK_MS		10U
#define EXO_FAIR_LOOK_REST		9
#define EXO_FAIR_BURST			64U
#define EXO_FAIR_AGAIN_US		50U

/*
 * Reads of a cgroup that are given to the block layer at once after it was seen to hold one back: the
 * end of a pin waits for so many at most, and those that went their way at that moment.
 */
#define EXO_BACKLOG_MOST		8U

/* What may be read above a rate after a pause, and how late a timer may be without loss. */
#define EXO_RATE_BURST_NS		(20ULL * NSEC_PER_MSEC)

/* Revocation: the longest grace period, and how long the drain waits for the device. */
#define EXO_MAX_GRACE_MS		60000U
EXO_LIMIT(max_grace_ms);
#define EXO_DEFAULT_DRAIN_TIMEOUT_MS	60000U
#define EXO_MAX_DRAIN_TIMEOUT_MS	600000U
EXO_LIMIT(drain_timeout_ms);

/*
 * Detaching a program waits this long for its traversals to end by themselves. It holds a lock of
 * the kernel's own meanwhile.
 */
#define EXO_DETACH_WAIT_MS		100U

/*
 * A killed caller waits this long for its read to complete, then leaves it to the reference count.
 */
#define EXO_CANCEL_WAIT_MS		100U

/*
 * Blocks that an interrupt, a submitter or a poller works off for one traversal without looking
 * after anything else (holes, reads that complete at once).
 */
#define EXO_BURST			16U

/*
 * Of every window, a CPU spends at most so long in interrupts with traversals, plus one burst; what
 * arrives then is a worker's. A drive that answers faster than a CPU can step would otherwise never
 * let it out of the interrupt.
 */
#define EXO_INTERRUPT_WINDOW_NS		(4U * NSEC_PER_MSEC)
#define EXO_INTERRUPT_BUDGET_NS		(2U * NSEC_PER_MSEC)

/*
 * What all tenants of a CPU may use together when another one comes in the same window; and after
 * how many windows a debt is forgotten.
 */
#define EXO_INTERRUPT_MOST_NS		(3U * NSEC_PER_MSEC)
#define EXO_INTERRUPT_DEBT_WINDOWS	64U

/*
 * How long a completion may take in an interrupt, its step above all. A slow one adds
 * EXO_HEAT_OF_SLOW to its program's heat, one in time takes 1 away; at EXO_HEAT_LIMIT the program is
 * left to workers. So more than one in EXO_HEAT_OF_SLOW + 1 must be slow, which a virtual CPU that
 * is not run at times does not cause.
 */
#define EXO_DEFAULT_STEP_BUDGET_US	500U
#define EXO_MIN_STEP_BUDGET_US		10U
#define EXO_MAX_STEP_BUDGET_US		10000U
#define EXO_HEAT_OF_SLOW		16
#define EXO_HEAT_LIMIT			512
#define EXO_HEAT_MOST			1024	/* so that one that got quick is not left there for long */
#define EXO_HEAT_SLOTS			16U

/*
 * Those whose steps are left to workers share them by weight; one goes on for so long while others may be
 * waiting, and is charged for so many of the windows above at most. The shift lets the largest weight tell
 * short stints apart. Whoever is further ahead than that was away while virtual time wrapped around: what
 * anybody may owe is less.
 */
#define EXO_STINT_NS			(1U * NSEC_PER_MSEC)
#define EXO_CREW_MOST_WINDOWS		1024ULL
#define EXO_CREW_SHIFT			4
#define EXO_CREW_MOST_AHEAD		(1ULL << 48)
#define EXO_CREW_BURST			16U	/* looked at in a jiffy */

/* How long a tenant without a grant is remembered, and how many of a volume are. */
#define EXO_TENANT_STAYS_MS		5000U
#define EXO_MOST_TENANTS_STAYING	256U

/* Of a CPU's time per weight, as a fraction: shares of many and heavy tenants stay exact enough. */
#define EXO_SHARE_SHIFT			8

/*
 * A polled traversal in a ring that nobody has reaped for so long is polled by a worker, which looks
 * again after so much, until its end or until somebody reaps.
 */
#define EXO_POLL_AWAY_MS		50U
#define EXO_POLL_FOR_NS			(4ULL * NSEC_PER_MSEC)

/*
 * That worker looks for so long at once, at one after the other, and then rests so many times as long
 * as it took: a tenth of a CPU, however many they are.
 */
#define EXO_WATCH_NS			(400ULL * NSEC_PER_USEC)
#define EXO_WATCH_REST			9ULL

/* Blocks in holes after which a traversal gives back the request that it is not using. */
#define EXO_HOLES_WITH_REQUEST		4U

/* Pauses of a traversal for which the queue or the driver has no room. */
#define EXO_RETRY_MIN_US		20U
#define EXO_RETRY_MAX_US		2000U

/* Audit events kept for readers to come; a power of two. */
#define EXO_AUDIT_RING_EVENTS		8192U

/*
 * Refusals and failures of one user that are recorded in one second, so that no user can fill the
 * ring; and how many users are told apart.
 */
#define EXO_AUDIT_FAILURES_PER_SECOND	16U
#define EXO_AUDIT_QUOTA_BITS		8

/* One entry of a listing, or one audit event, as the caller sizes it. */
#define EXO_MAX_LIST_ENTRY_BYTES	4096U

/* Objects that a listing passes by, and grants that a cut records, without letting others run. */
#define EXO_LIST_BURST			1024U
#define EXO_CUT_BURST			64U

#endif /* EXO_LIMITS_H */
