/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One traversal: read, step, check, read again, until its program or one of the limits ends it.
 * How a caller's request becomes one, and how its results get back, is traverse.h's; who drives it
 * is drive.h's.
 *
 * Ownership: exactly one context at a time drives a traversal (see drive.h for how it is handed
 * over), and only that context touches it. Two references: the caller's, who waits and copies the
 * result out, and the engine's, dropped at the end. A killed caller may leave first.
 */
#ifndef EXO_TRAVERSAL_H
#define EXO_TRAVERSAL_H

#include <linux/bio.h>
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/llist.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

#include <linux/exo.h>

#include "audit.h"
#include "grant.h"
#include "limits.h"
#include "program_ops.h"
#include "read.h"
#include "set.h"
#include "watch.h"

struct exo_backlog;
struct exo_crew;
struct exo_grant;
struct exo_tenant;
struct exo_user;
struct exo_volume;

struct exo_traversal {
	struct exo_hop_context context;	/* its hop is all that the program sees directly */

	/* Constant from the start. */
	struct exo_slots slots;		/* holds references */
	struct exo_grant *only;		/* what slots consists of, if it is no set */
	struct exo_program *program;	/* holds a reference until the end */
	struct exo_tenant *tenant;	/* of the grant that it starts on */
	struct exo_user *payer;		/* of that grant */
	u32 pages;			/* of memory, that he is charged with */
	u8 *args;
	u8 *result;
	u8 *blocks;			/* copies of blocks, as record says */
	void *area;			/* memory of result, args and blocks */
	u32 record;			/* EXO_TRAVERSE_LAST_BLOCK or _ALL_BLOCKS, or 0 */
	u32 program_id;
	u32 hop_bytes;
	u32 hop_limit;
	u32 args_len;
	u32 result_len;
	u32 blocks_room;
	u16 engine;			/* EXO_ENGINE_*, not AUTO */
	u16 engine_reason;
	bool grant_expires;		/* deadline is the grant's, not the caller's */
	bool plain;			/* its hops may be such as hop.h speaks of */
	unsigned long deadline;		/* jiffies */
	unsigned long settled;		/* jiffies when hop.c has looked at what changes with them */
	const struct exo_extent *extent;	/* of its only grant's file, where hop.c looks first */
	u64 started_ns;
	struct bio origin;		/* for EXO_ENGINE_DISPATCH: whose cgroup its bios belong to */
	struct exo_backlog *backlog;	/* of that cgroup, where it begins; NULL = no cgroup limits it */

	/* The block at hand. */
	const u8 *block;		/* in a read's buffer */
	u32 block_len;			/* bytes of block that are valid; 0 = none arrived */
	u32 at_hand;			/* whose it is, by its place in reads */

	struct exo_read *reads;		/* behind this structure, in the same memory */

	/* Reads, by their place in reads. One that is in none of these sets is free. */
	u32 lanes;			/* all of them */
	u32 free;			/* may be asked for in the step that runs */
	u32 wished;			/* have been */
	u32 due;			/* to be issued */
	u32 in_flight;			/* issued, and not yet seen by whoever drives */
	u32 arrived;
	u32 asked;			/* reads placed since the start */
	u64 entered;			/* slots whose grants have been entered */

	/* Driving (drive.c). */
	struct llist_head events;	/* reads that arrived; not empty while somebody drives */
	struct llist_node driven;	/* stands in events for whoever drives */
	atomic_t dispatcher;		/* enum exo_dispatcher: who goes on when a bio has arrived */
	struct work_struct work;
	u32 pause_us;			/* before the next try to find room for a read */
	struct hrtimer retry;		/* queues work after it */
	bool in_background;		/* its worker has the priority of everybody else */
	struct exo_volume *submits_to;	/* for whose device its worker may sleep; NULL = for none */
	struct list_head line_entry;	/* while it waits for a place in a crew */
	struct list_head crew_entry;	/* as well */
	struct exo_crew *crew;		/* whose place its work has when it begins, or NULL */
	u64 stalled_until_ns;		/* for a poller; 0 = not stalled */
	struct exo_watch watch;		/* for one in a ring with IOPOLL */

	/* Outcome. */
	bool ending;			/* cause and error stand; what is in flight is waited for */
	bool finishing;			/* the program's finish runs */
	bool ended;			/* for a polling caller */
	bool ran;			/* so there is an end to tell of */
	enum exo_end cause;
	int error;
	u32 slot;			/* of the last read, or of the one refused; as offset and len */
	u32 len;
	u64 offset;
	u32 result_valid;
	u64 value;
	u32 hops;
	u32 first;
	u32 direct;
	u32 deferred;
	u32 poll_issued;
	u32 dispatched;
	u32 holes;
	u32 cached;
	u32 blocks_len;			/* bytes used in blocks */
	u32 blocks_recorded;
	u64 bytes;
	u64 elapsed_ns;

	/* The caller's (traverse.c and those that start traversals). */
	bool cancel;			/* end at the next completion; set at any time */
	struct exo_actor actor;		/* set by a caller that leaves early, or after a failure */
	void (*on_end)(struct exo_traversal *t);	/* in any context; the outcome stands in t */
	void *owner;			/* whom on_end tells, if not who waits for done */
	struct completion done;
	u32 index;			/* in owner's batch */
	struct llist_node ended_entry;
	u64 user_result;
	u64 user_blocks;
	refcount_t refs;
};

static inline bool exo_traversal_polled(const struct exo_traversal *t)
{
	return t->engine == EXO_ENGINE_POLLED;
}

void exo_traversal_fail(struct exo_traversal *t, enum exo_end cause, int error);
void exo_traversal_begin(struct exo_traversal *t);
void exo_traversal_judge(struct exo_traversal *t, int verdict);
void exo_traversal_take(struct exo_traversal *t, struct exo_read *read);
void exo_traversal_end(struct exo_traversal *t);

/**
 * exo_traversal_stopped() - why a traversal must not go on, whatever its program wants
 * @t: driven by the caller
 *
 * Context: any.
 * Return: EXO_END_DONE if it may go on.
 */
static inline enum exo_end exo_traversal_stopped(const struct exo_traversal *t)
{
	for (u64 slots = t->entered; slots; slots &= slots - 1) {
		if (exo_grant_is_cut(t->slots.grants[__ffs64(slots)]))
			return EXO_END_REVOKED;
	}
	if (READ_ONCE(t->cancel))
		return EXO_END_CANCELLED;
	if (READ_ONCE(t->program->detaching))
		return EXO_END_DETACHED;
	if (time_after(jiffies, t->deadline))
		return t->grant_expires ? EXO_END_EXPIRED : EXO_END_TIMEOUT;
	return EXO_END_DONE;
}

#endif /* EXO_TRAVERSAL_H */
