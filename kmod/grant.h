/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A grant: the right to read a byte range of one pinned file through the module. It is checked
 * once, when it is opened; afterwards each read costs only exo_grant_check_read().
 *
 * Lifetime: referenced by its fd and by every traversal, so it outlives the fd while a read is in
 * flight.
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

struct exo_actor;
struct exo_ioctl_call;
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
	u64 opened_at_ns;
	kuid_t uid;
	struct pid *pid;		/* of the process that opened it; holds a reference */
	char comm[EXO_COMM_BYTES];
	struct exo_user *user;		/* NULL once closed */

	struct list_head pin_entry;	/* guarded by pin->lock, as is the next */
	bool cut;			/* its revocation is recorded */
	bool open;			/* its fd is; read anywhere */
	struct kref ref;
	struct rcu_head rcu;

	atomic_t in_flight ____cacheline_aligned_in_smp;
	atomic64_t traversals;
	atomic64_t hops;
	atomic64_t bytes;
};

int exo_grant_open(struct exo_ioctl_call *call);
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
