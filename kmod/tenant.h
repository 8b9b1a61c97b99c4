/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tenant: those who share one part of a volume's device, which is a user or, if the administrator
 * so chooses, a cgroup. Everything that is opened or derived belongs to the tenant of the process
 * that did it, whoever uses it later.
 *
 * Lifetime: referenced by its grants and, for a while after the last of them or if the administrator
 * gave it terms of its own, by its volume. At its end a listing may still look at it (RCU).
 */
#ifndef EXO_TENANT_H
#define EXO_TENANT_H

#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include <linux/exo.h>

#include "crew.h"
#include "limits.h"
#include "rate.h"

struct exo_ioctl_call;
struct exo_volume;

/* Counted where things happen, summed by listings. */
struct exo_tenant_cpu {
	u64 started;			/* traversals */
	u64 ended;
	u64 reads;
	u64 bytes;
	u64 waited;			/* reads that had to wait for their turn */
	u64 ticks;			/* of exo_clock(), spent in interrupts and workers */

	/* Of the window that began then, and what is left of those before (budget.c). */
	u64 window_start;
	u64 spent;
	u32 weight;			/* of the tenant in that window */
	u64 share;			/* of the window's time, as of the last look at it */
	u32 over;			/* program whose last step here was too long, or 0 */
	u64 over_at;

	struct exo_line background;	/* in that CPU's crew */
};

struct exo_tenant {
	/* Constant. */
	struct exo_volume *volume;	/* outlives it */
	u32 id;
	bool cgroup;			/* key is a cgroup's number, else a user's */
	u64 key;
	struct exo_tenant_cpu __percpu *cpu;

	/* Read at every read; written rarely, and seen once in a jiffy. */
	u32 weight;
	bool limited;			/* rate is in force */
	atomic_t heat[EXO_HEAT_SLOTS];	/* of programs, by number; two may share one (budget.c) */
	unsigned long seen;		/* jiffies */

	/* Guarded by tenants_lock. */
	struct list_head entry;		/* of volume->tenants */
	struct kref ref;
	bool set;			/* the volume holds a reference */
	bool stays;			/* so it does, because it may come back before this jiffy */
	unsigned long stays_until;
	u32 grants;

	struct exo_line slow;		/* in the crew for slow programs; crew.c's */

	/* Guarded by volume->fair->lock; fair.c's. */
	struct list_head active_entry ____cacheline_aligned_in_smp;
	bool active;
	bool in_line;			/* turns is not empty, and node in fair->tenants */
	struct rb_node node;
	u64 start;			/* of the first turn in line, while there is one */
	u64 finish;			/* of the last turn that was given */
	u64 time;			/* its grants': start of the last turn that was given */
	struct rb_root_cached turns;	/* in line, by start */
	u32 waiters;			/* turns, in line or for a rate */
	u32 placed;			/* turns with a place in service */
	u32 kept;			/* places that wait for it */
	ktime_t keep_until;
	struct list_head keep_entry;	/* of fair->keepers while there are any */
	struct exo_rate rate;

	struct rcu_head rcu;
};

struct exo_tenant *exo_tenant_get(struct exo_volume *volume);
void exo_tenant_put(struct exo_tenant *tenant);
void exo_tenants_drop(struct exo_volume *volume);
int exo_tenant_set(struct exo_ioctl_call *call);
bool exo_tenant_is_mine(const struct exo_tenant *tenant);
void exo_tenant_fill_entry(struct exo_tenant *tenant, struct exo_tenant_entry *entry);

extern struct xarray exo_tenants;	/* by id; RCU */

/* In this jiffy. */
static inline bool exo_tenant_was_seen(const struct exo_tenant *tenant)
{
	return !(jiffies - READ_ONCE(tenant->seen));
}

#define exo_tenant_count(tenant, member)		this_cpu_inc((tenant)->cpu->member)
#define exo_tenant_count_add(tenant, member, amount)	this_cpu_add((tenant)->cpu->member, (amount))

#endif /* EXO_TENANT_H */
