/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose turn it is: shares a disk between tenants while two or more of them are active, on one volume
 * or on several that are partitions of it, and holds reads back that are over a rate. Who the tenants
 * are is tenant.c's; what a traversal does while it waits is drive.c's.
 *
 * Start-time fair queueing with a bounded number of reads in service, SFQ(D) (Jin, Chase, Kaur:
 * "Interposed proportional sharing for a storage service utility", 2004), in two levels: tenants by
 * their weight, and the grants of one tenant by theirs. A turn that must wait lies in a tree of its
 * tenant; whichever completion frees a place gives it to the turn with the least virtual time. A
 * tenant that is behind and asks for one thing at a time has nothing in line at the moment when its
 * read completes; its place is kept for an instant, as in FlashFQ (Shen, Park, 2013), or a greedy
 * neighbour would take every place that it frees.
 *
 * A tenant that is alone pays two reads of cache lines that nobody writes: no lock, no count.
 * Nothing here allocates memory, and everything works in hard interrupts.
 */
#ifndef EXO_FAIR_H
#define EXO_FAIR_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/timerqueue.h>
#include <linux/types.h>

#include "backlog.h"
#include "grant.h"
#include "tenant.h"

struct request_queue;

/* One read's, or traversal's, right to go to the device. */
struct exo_turn {
	struct exo_grant *grant;	/* for which it is; NULL = none asked for yet */
	u32 bytes;			/* of the read that is due */
	bool given;			/* that read may be issued */
	bool paid;			/* the rates have been charged with it */
	bool placed;			/* it has a place in service; written under fair->lock */
	struct exo_backlog *backlog;	/* of its reader's cgroup; NULL = none */

	/* Guarded by fair->lock. */
	u64 start;			/* virtual time */
	struct rb_node node;		/* among its tenant's turns */
	struct exo_rate *rate;		/* that it waits for, or NULL */
	struct list_head rate_entry;	/* among those that wait for it; or parked in backlog */
	bool waits;
	bool parked;
	bool tries;			/* counted in backlog->trying */
	bool held;			/* counted in backlog->held */
	struct list_head entry;		/* of all that wait, for the look whether they still may */
};

/*
 * Lifetime: referenced by the volumes on the disk, for as long as their memory lives; found by new
 * ones while one of them holds the device.
 */
struct exo_fair {
	bool on;			/* turns are needed; read anywhere */
	u32 most;			/* reads that the device takes at once */
	atomic_t wanting[2];		/* reads for which the queue had no room; [1]: its poll queues */
	struct request_queue *queue;	/* only to be compared */
	struct kref ref;

	/* Guarded by fairs_lock. */
	struct list_head entry;
	u32 attached;			/* volumes that hold the device */
	struct rcu_head rcu;

	raw_spinlock_t lock ____cacheline_aligned_in_smp;	/* guards what follows */
	u64 time;			/* virtual: of the last turn that was given */
	struct rb_root_cached tenants;	/* that have turns in line, by start */
	struct list_head active;	/* tenants; the one longest unseen first */
	u32 actives;
	u32 in_service;			/* places taken or kept */
	u32 kept;			/* of them */
	struct list_head keepers;	/* tenants for which some are; the first to end first */
	struct list_head waiting;	/* turns; those longest not looked at first */
	u32 waiters;
	u32 unlooked;			/* waiters that this round of looks has not come to */
	struct timerqueue_head rates;	/* that turns wait for, by when the next may go */
	struct hrtimer timer;
	ktime_t timer_at;		/* 0 = not running */
	ktime_t look_at;		/* the next looks; round_at: when the round began */
	ktime_t round_at;
};

struct exo_fair *exo_fair_attach(struct request_queue *queue);
void exo_fair_detach(struct exo_fair *fair);
void exo_fair_put(struct exo_fair *fair);
void exo_fair_forget(struct exo_tenant *tenant);
void exo_fair_look(struct exo_fair *fair);
void exo_fair_set_terms(struct exo_tenant *tenant, u32 weight, u32 reads, u64 bytes);
u32 exo_fair_waiting(struct exo_tenant *tenant, bool *active);

bool exo_fair_ask_slow(struct exo_turn *turn);
bool exo_fair_wait(struct exo_turn *turn);
bool exo_fair_leave(struct exo_turn *turn);
void exo_fair_done_slow(struct exo_turn *turn);
void exo_fair_submitted(struct exo_turn *turn, bool held);
void exo_fair_let_go(struct exo_turn *turn);

/* Among fair.c and its neighbours: has the timer look no later than then, under the lock; and its function. */
void exo_fair_arm(struct exo_fair *fair, ktime_t at);
enum hrtimer_restart exo_fair_tick(struct hrtimer *timer);

/* Whether nobody has to wait; for a tenant that was seen in this jiffy, on a grant without a rate. */
static __always_inline bool exo_fair_is_quiet(const struct exo_turn *turn,
					      const struct exo_fair *fair,
					      const struct exo_tenant *tenant)
{
	return !READ_ONCE(fair->on) && !READ_ONCE(tenant->limited) && !turn->placed;
}

/* Whether the next read of a grant needs no turn; nothing is taken or noted. */
static inline bool exo_fair_is_free(const struct exo_turn *turn, const struct exo_fair *fair,
				    const struct exo_grant *grant)
{
	const struct exo_tenant *tenant = grant->tenant;

	return likely(exo_fair_is_quiet(turn, fair, tenant) && !grant->rate_above &&
		      exo_tenant_was_seen(tenant));
}

/**
 * exo_fair_ask() - whether a read may be issued now
 * @turn: of the read
 * @fair: of the disk
 * @grant: on which it is made
 * @bytes: of it
 *
 * Once the answer is yes it stays so until exo_fair_arrived().
 *
 * Context: any.
 * Return: false if it must wait: give back what others could use, then call exo_fair_wait().
 */
static inline bool exo_fair_ask(struct exo_turn *turn, const struct exo_fair *fair,
				struct exo_grant *grant, u32 bytes)
{
	const struct exo_backlog *backlog = turn->backlog;

	if (turn->given || (exo_fair_is_free(turn, fair, grant) &&
			    !(backlog && READ_ONCE(backlog->limited))))
		return true;
	/* Its last read may have been of another volume. */
	if (turn->placed && turn->grant != grant)
		exo_fair_done_slow(turn);
	turn->grant = grant;
	turn->bytes = bytes;
	return exo_fair_ask_slow(turn);
}

/* The read has completed; the next one needs a turn of its own. */
static inline void exo_fair_arrived(struct exo_turn *turn)
{
	if (unlikely(turn->held))
		exo_fair_let_go(turn);
	turn->given = false;
	turn->paid = false;
}

/*
 * The read could not be issued and will ask again. Without a place it must not go past a line that
 * forms meanwhile.
 */
static inline void exo_fair_again(struct exo_turn *turn)
{
	if (!turn->placed)
		turn->given = false;
}

/* Gives the place up: for a while no read will follow, or none at all. */
static inline void exo_fair_done(struct exo_turn *turn)
{
	if (unlikely(turn->placed || turn->tries))
		exo_fair_done_slow(turn);
}

/*
 * Drive.c's side: to go on with a read whose turn was given, or that must not wait any longer; and
 * whether that is so. The first is called without the lock, once for every exo_fair_wait() that
 * returned false.
 */
void exo_fair_go(struct exo_turn *turn);
bool exo_fair_must_not_wait(const struct exo_turn *turn);

#endif /* EXO_FAIR_H */
