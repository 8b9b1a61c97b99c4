// SPDX-License-Identifier: GPL-2.0-only
/*
 * Derived grants form a tree under the grant that was opened on the file. They are taken back as a
 * pin's grants are (pin.c): mark, notify, wait for the holders, cut, drain; but only those of a
 * subtree.
 */
#include <linux/capability.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>

#include "derive.h"
#include "grant.h"
#include "ioctl.h"
#include "limits.h"
#include "pin.h"
#include "stats.h"
#include "ticks.h"
#include "volume.h"

/* ---- derive ---- */

static int weaken(const struct exo_grant *parent, const struct exo_grant_derive *arg,
		  struct exo_grant_terms *terms)
{
	u64 lifetime_ns = (u64)arg->expires_ms * NSEC_PER_MSEC;

	if (arg->flags || arg->rights & ~EXO_RIGHTS_ALL)
		return -EINVAL;
	if (!(parent->rights & EXO_RIGHT_DERIVE) || arg->rights & ~parent->rights ||
	    (parent->program_id && arg->program_id && arg->program_id != parent->program_id))
		return -EACCES;
	if (parent->depth >= EXO_MAX_DERIVE_DEPTH)
		return -ELOOP;

	*terms = (struct exo_grant_terms){
		.range_start = arg->range_start,
		.hop_limit = min(arg->hop_limit ?: parent->hop_limit, parent->hop_limit),
		.in_flight_limit = min(arg->in_flight_limit ?: parent->in_flight_limit,
				       parent->in_flight_limit),
		.rights = arg->rights ?: parent->rights,
		.program_id = arg->program_id ?: parent->program_id,
		.weight = min(arg->weight ?: parent->weight, parent->weight),
		.rate_reads = min_not_zero(arg->rate_reads, parent->rate.reads),
		.rate_bytes = min_not_zero(arg->rate_bytes, parent->rate.bytes),
		.expires = parent->expires,
		.expires_at = parent->expires_at,
		.expires_at_ns = parent->expires_at_ns,
	};
	if (arg->expires_ms) {
		unsigned long at = jiffies + exo_ticks(arg->expires_ms, HZ);

		if (!terms->expires || time_before(at, terms->expires_at)) {
			terms->expires = true;
			terms->expires_at = at;
			terms->expires_at_ns = ktime_get_real_ns() + lifetime_ns;
		}
	}
	return exo_grant_range(parent->pin, arg->range_start, arg->range_len, parent->range_start,
			       parent->range_end, &terms->range_end);
}

/**
 * exo_grant_derive() - serve EXO_GRANT_DERIVE
 * @call: argument struct exo_grant_derive
 *
 * Context: process, may sleep.
 */
int exo_grant_derive(struct exo_ioctl_call *call)
{
	struct exo_grant_derive *arg = call->arg;
	struct exo_grant *parent = call->file->private_data;
	struct exo_grant_terms terms;
	int ret;

	ret = weaken(parent, arg, &terms);
	if (ret)
		return ret;
	if (parent->expires && time_after_eq(jiffies, parent->expires_at))
		return -EKEYEXPIRED;
	return exo_grant_new_fd(call, parent->pin, parent, &terms, &arg->grant_id);
}

/* ---- the tree ---- */

/* The grant after @grant in the tree under @top, parents first; NULL at its end. */
static struct exo_grant *next_in_tree(const struct exo_grant *top, struct exo_grant *grant)
{
	lockdep_assert_held(&grant->pin->lock);
	if (!list_empty(&grant->children))
		return list_first_entry(&grant->children, struct exo_grant, sibling);
	for (; grant != top; grant = grant->parent) {
		if (!list_is_last(&grant->sibling, &grant->parent->children))
			return list_next_entry(grant, sibling);
	}
	return NULL;
}

/*
 * Goes on to the next grant, with a reference instead of the one to @grant: what is referenced stays
 * in the tree. One that is on its way out has no children and nothing in flight.
 */
static struct exo_grant *step(const struct exo_grant *top, struct exo_grant *grant)
{
	struct exo_pinned *pin = top->pin;
	struct exo_grant *next = grant;

	spin_lock(&pin->lock);
	do
		next = next_in_tree(top, next);
	while (next && !kref_get_unless_zero(&next->ref));
	spin_unlock(&pin->lock);
	exo_grant_put(grant);
	cond_resched();
	return next;
}

static struct exo_grant *referenced(struct exo_grant *grant)
{
	exo_grant_get(grant);
	return grant;
}

#define for_each_in_tree(grant, top)	\
	for (grant = referenced(top); grant; grant = step(top, grant))

/* ---- revoke ---- */

struct revocation {
	struct exo_grant *top;
	bool self;
	u32 grace_ms;
	u32 revoked;
	u32 in_flight;
	u64 drain_ns;
};

static bool spared(const struct revocation *r, const struct exo_grant *grant)
{
	return grant == r->top && !r->self;
}

/* Nothing is derived any more from what is marked, so the tree under it does not grow. */
static void mark(const struct revocation *r)
{
	struct exo_pinned *pin = r->top->pin;
	struct exo_grant *grant;

	for_each_in_tree(grant, r->top) {
		if (spared(r, grant))
			continue;
		spin_lock(&pin->lock);
		if (grant->state == EXO_PIN_LIVE)
			WRITE_ONCE(grant->state, EXO_PIN_REVOKING);
		spin_unlock(&pin->lock);
	}
	wake_up_all(&pin->wait);
}

/* What was derived from the top after it was looked at is not ours to take back. */
static bool marked(const struct revocation *r, const struct exo_grant *grant)
{
	return !spared(r, grant) && READ_ONCE(grant->state) != EXO_PIN_LIVE;
}

static int wait_grace(const struct revocation *r)
{
	unsigned long deadline = exo_pin_grace_deadline(r->grace_ms);
	struct exo_pinned *pin = r->top->pin;
	struct exo_grant *grant;

	for_each_in_tree(grant, r->top) {
		long left = deadline - jiffies;

		if (!marked(r, grant) || left <= 0)
			continue;
		if (wait_event_killable_timeout(pin->wait, !READ_ONCE(grant->open), left) < 0) {
			exo_grant_put(grant);
			return -EINTR;
		}
	}
	return 0;
}

/* Pairs with exo_grant_enter(): either it sees the cut, or the drain sees its traversal. */
static void cut(struct revocation *r)
{
	struct exo_pinned *pin = r->top->pin;
	struct exo_grant *grant;

	for_each_in_tree(grant, r->top) {
		if (!marked(r, grant))
			continue;
		spin_lock(&pin->lock);
		WRITE_ONCE(grant->state, EXO_PIN_CUT);
		if (!grant->cut && READ_ONCE(grant->open)) {
			grant->cut = true;
			exo_grant_audit(grant, EXO_AUDIT_GRANT_REVOKE, 0);
			r->revoked++;
		}
		spin_unlock(&pin->lock);
		/* Orders the cut before the look at what is in flight. */
		smp_mb();
		r->in_flight += atomic_read(&grant->in_flight);
	}
	wake_up_all(&pin->wait);
	exo_fair_look(pin->volume->fair);
	exo_count_add(revoked_grants, r->revoked);
}

/*
 * A grant that is cut becomes idle for good, once the few starts that raced with the cut have seen
 * it, so one look at each is enough.
 */
static int drain(const struct revocation *r)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(exo_limit(drain_timeout_ms));
	struct exo_pinned *pin = r->top->pin;
	struct exo_grant *grant;
	long left;

	for_each_in_tree(grant, r->top) {
		if (!marked(r, grant))
			continue;
		left = max_t(long, deadline - jiffies, 1);
		left = wait_event_killable_timeout(pin->wait, !atomic_read(&grant->in_flight), left);
		if (left <= 0) {
			exo_grant_put(grant);
			return left ? -EINTR : -ETIMEDOUT;
		}
	}
	return 0;
}

static int revoke(struct revocation *r)
{
	u64 cut_at;
	int ret;

	mark(r);
	ret = wait_grace(r);
	if (ret)
		return ret;
	cut_at = ktime_get_ns();
	cut(r);
	ret = drain(r);
	r->drain_ns = ktime_get_ns() - cut_at;
	return ret;
}

/**
 * exo_grant_revoke() - serve EXO_GRANT_REVOKE
 * @call: argument struct exo_grant_revoke
 *
 * Context: process, may sleep.
 */
int exo_grant_revoke(struct exo_ioctl_call *call)
{
	struct exo_grant_revoke *arg = call->arg;
	struct revocation r = {
		.top = call->file->private_data,
		.self = arg->flags & EXO_REVOKE_SELF,
		.grace_ms = arg->grace_ms,
	};
	int ret;

	if (arg->flags & ~EXO_REVOKE_SELF)
		return -EINVAL;
	if (!(r.top->rights & EXO_RIGHT_DERIVE))
		return -EACCES;
	ret = revoke(&r);
	arg->revoked_grants = r.revoked;
	arg->drained_traversals = r.in_flight;
	arg->drain_ns = r.drain_ns;
	return ret;
}

/**
 * exo_grant_revoke_id() - serve EXO_IOC_REVOKE_ID
 * @call: argument struct exo_revoke_id
 *
 * Context: process, may sleep.
 */
int exo_grant_revoke_id(struct exo_ioctl_call *call)
{
	struct exo_revoke_id *arg = call->arg;
	struct revocation r = { .self = true, .grace_ms = arg->grace_ms };
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (arg->flags)
		return -EINVAL;
	rcu_read_lock();
	r.top = xa_load(&exo_grants, arg->grant_id);
	if (r.top && !kref_get_unless_zero(&r.top->ref))
		r.top = NULL;
	rcu_read_unlock();
	if (!r.top)
		return -ENOENT;
	ret = revoke(&r);
	exo_grant_put(r.top);
	arg->revoked_grants = r.revoked;
	arg->drained_traversals = r.in_flight;
	arg->drain_ns = r.drain_ns;
	return ret;
}
