/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pin: the immutable extent map of one file, and the end of everything that was granted on it.
 * (struct exo_pin is the UAPI's request for one.)
 *
 * Lifetime: referenced by its volume until it is unpinned, and by every grant. The map is never
 * modified, so a traversal reads it without a lock while its grant lives.
 */
#ifndef EXO_PIN_H
#define EXO_PIN_H

#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include <linux/exo.h>

#include "extent_map.h"
#include "limits.h"

struct exo_cache;
struct exo_grant;
struct exo_ioctl_call;
struct exo_volume;

enum exo_pin_state {
	EXO_PIN_LIVE = EXO_PIN_STATE_LIVE,
	EXO_PIN_REVOKING = EXO_PIN_STATE_REVOKING,	/* no new grant; holders are told */
	EXO_PIN_CUT = EXO_GRANT_STATE_CUT,		/* no new traversal; those in flight end */
};

struct exo_pinned {
	/* Set before anybody sees the pin, constant afterwards. */
	struct exo_volume *volume;
	struct exo_extent_map map;
	void *map_memory;
	struct exo_cache *cache;	/* NULL = none */
	u64 id;
	u64 ino;
	u64 size_bytes;
	u64 pinned_at_ns;
	u32 generation;

	/* Only ever rises. Written under lock, read anywhere. */
	enum exo_pin_state state;

	spinlock_t lock;		/* guards grants; taken in process context only */
	struct list_head grants;	/* open ones, and closed ones still reading */
	atomic_t open_grants;
	wait_queue_head_t wait;		/* grace, drain and poll */

	struct kref ref;
	struct rcu_head rcu;
};

static inline bool exo_pin_is_cut(const struct exo_pinned *pin)
{
	return READ_ONCE(pin->state) == EXO_PIN_CUT;
}

/* When holders who were told now are cut, in jiffies. */
static inline unsigned long exo_pin_grace_deadline(u32 grace_ms)
{
	return jiffies + msecs_to_jiffies(min(grace_ms, exo_limit(max_grace_ms)));
}

int exo_pin_register(struct exo_ioctl_call *call);
int exo_pin_unregister(struct exo_ioctl_call *call);
int exo_pin_end_all(struct exo_volume *volume, u32 grace_ms);
void exo_pin_end_cancel(struct exo_volume *volume);
struct exo_pinned *exo_pin_find(struct exo_volume *volume, u64 ino);
void exo_pin_get(struct exo_pinned *pin);
void exo_pin_put(struct exo_pinned *pin);
int exo_pin_add_grant(struct exo_pinned *pin, struct exo_grant *grant);
void exo_pin_close_grant(struct exo_pinned *pin);
void exo_pin_remove_grant(struct exo_pinned *pin, struct exo_grant *grant);
void exo_pin_fill_entry(const struct exo_pinned *pin, struct exo_pin_entry *entry);
u64 exo_pins_now(void);

extern struct xarray exo_pins;		/* by id; RCU */

#endif /* EXO_PIN_H */
