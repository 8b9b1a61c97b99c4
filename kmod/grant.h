/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A grant: the right to read a byte range of one pinned file through the module. It is checked
 * once, when it is opened; afterwards each read costs only exo_grant_check_read().
 *
 * Lifetime: referenced by its fd, by every traversal and by grants derived from it, so it outlives
 * the fd while a read is in flight, and as long as it is somebody's parent.
 */
#ifndef EXO_GRANT_H
#define EXO_GRANT_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/uidgid.h>
#include <linux/xarray.h>

#include <linux/exo.h>

#include "pin.h"
#include "rate.h"

struct exo_actor;
struct exo_ioctl_call;
struct exo_tenant;
struct exo_user;
struct pid;

struct exo_grant {
	/* Set when it is opened, constant afterwards. */
	struct exo_pinned *pin;
	u64 id;
	u64 range_start;
	u64 range_end;			/* exclusive; at most the file's size */
	u64 read_end;			/* as range_end, but whole blocks at the end of the file */
	u64 file_bytes;
	u64 file_read_end;		/* file_bytes in whole blocks */
	u32 hop_limit;
	u32 in_flight_limit;
	u32 rights;			/* EXO_RIGHT_* */
	u32 program_id;			/* the only one it runs; 0 = any */
	u32 weight;			/* among its tenant's grants */
	struct exo_tenant *tenant;	/* holds a reference */
	struct exo_rate *rate_above;	/* the first to keep: its own or an ancestor's; NULL = none */
	bool expires;
	unsigned long expires_at;	/* jiffies */
	u64 expires_at_ns;		/* CLOCK_REALTIME, for people; 0 = never */
	struct exo_grant *parent;	/* it was derived from; holds a reference. NULL = of a file */
	u32 depth;			/* parents above it */
	u64 opened_at_ns;
	kuid_t uid;
	struct pid *pid;		/* of the process that opened it; holds a reference */
	char comm[EXO_COMM_BYTES];
	struct exo_user *user;		/* holds a reference; has it as open until its fd is closed */

	struct list_head pin_entry;	/* guarded by pin->lock, as are the next ones */
	struct list_head children;	/* derived from it; the newest first */
	struct list_head sibling;
	enum exo_pin_state state;	/* its own, beside the pin's; only ever rises. Read anywhere */
	bool cut;			/* its revocation is recorded */
	bool open;			/* its fd is; read anywhere */
	struct kref ref;
	struct rcu_head rcu;

	atomic_t in_flight ____cacheline_aligned_in_smp;
	atomic64_t traversals;
	atomic64_t hops;
	atomic64_t bytes;

	/* Guarded by volume->fair->lock. */
	u64 finish ____cacheline_aligned_in_smp;	/* virtual time of the last turn's end */
	struct exo_rate rate;
};

/* What a new grant may do; a derived one never more than its parent. */
struct exo_grant_terms {
	u64 range_start;
	u64 range_end;
	u32 hop_limit;
	u32 in_flight_limit;
	u32 rights;
	u32 program_id;
	u32 weight;
	u32 rate_reads;			/* per second; 0 = no limit */
	u64 rate_bytes;
	bool expires;
	unsigned long expires_at;
	u64 expires_at_ns;
};

int exo_grant_open(struct exo_ioctl_call *call);
int exo_grant_new_fd(struct exo_ioctl_call *call, struct exo_pinned *pin, struct exo_grant *parent,
		     const struct exo_grant_terms *terms, u64 *id);
int exo_grant_range(const struct exo_pinned *pin, u64 start, u64 len, u64 first, u64 last,
		    u64 *end);
void exo_grant_close(struct exo_grant *grant);
void exo_grant_get(struct exo_grant *grant);
void exo_grant_put(struct exo_grant *grant);
int exo_grant_enter(struct exo_grant *grant);
void exo_grant_leave(struct exo_grant *grant);
void exo_grant_fill_entry(const struct exo_grant *grant, struct exo_grant_entry *entry);
void exo_grant_audit(const struct exo_grant *grant, u32 type, int error);
void exo_grant_actor(const struct exo_grant *grant, struct exo_actor *actor);
u64 exo_grants_now(void);

extern struct xarray exo_grants;	/* open ones, by id; RCU */

/* Of the pin or of the grant itself, whichever has come further. */
static inline enum exo_pin_state exo_grant_state(const struct exo_grant *grant)
{
	return max(READ_ONCE(grant->pin->state), READ_ONCE(grant->state));
}

static inline bool exo_grant_is_cut(const struct exo_grant *grant)
{
	return READ_ONCE(grant->state) == EXO_PIN_CUT || exo_pin_is_cut(grant->pin);
}

/**
 * exo_grant_allows() - whether a grant is for a traversal
 * @grant: of one of its slots
 * @record: EXO_TRAVERSE_LAST_BLOCK, _ALL_BLOCKS or 0
 * @program_id: of the program
 *
 * Context: any.
 */
static inline bool exo_grant_allows(const struct exo_grant *grant, u32 record, u32 program_id)
{
	return grant->rights & EXO_RIGHT_TRAVERSE &&
	       (!record || grant->rights & EXO_RIGHT_BLOCKS) &&
	       (!grant->program_id || program_id == grant->program_id);
}

/**
 * exo_grant_check_read() - whether a grant covers a read
 * @grant: that the read is made on
 * @offset: in the file
 * @len: of the read
 * @room: for the whole blocks that it touches
 * @block_bytes: logical block of the device
 *
 * The grant's range begins and ends with whole blocks, so they are all covered if the read is.
 *
 * Context: any; called for every hop.
 * Return: EXO_END_DONE if it does, else why not.
 */
static inline enum exo_end exo_grant_check_read(const struct exo_grant *grant, u64 offset, u32 len,
						u32 room, u32 block_bytes)
{
	u64 mask = block_bytes - 1;
	u64 end;

	if (!len || len > room)
		return EXO_END_BAD_LENGTH;
	if (check_add_overflow(offset, (u64)len, &end) || end > grant->file_read_end ||
	    offset >= grant->file_bytes)
		return EXO_END_OUT_OF_FILE;
	if (offset < grant->range_start || end > grant->read_end)
		return EXO_END_OUT_OF_RANGE;
	if (((end + mask) & ~mask) - (offset & ~mask) > room)
		return EXO_END_BAD_LENGTH;
	return EXO_END_DONE;
}

#endif /* EXO_GRANT_H */
