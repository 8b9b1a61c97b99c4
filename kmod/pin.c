// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers extent maps and ends them: mark, notify, wait for the holders, cut, drain. The map's
 * rules are extent_map.c's, what a holder may do is grant.c's.
 */
#include <linux/cleanup.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "audit.h"
#include "cache.h"
#include "grant.h"
#include "ioctl.h"
#include "limits.h"
#include "pin.h"
#include "stats.h"
#include "volume.h"

DEFINE_XARRAY(exo_pins);

static atomic64_t last_pin_id;
static atomic64_t pins_now;

u64 exo_pins_now(void)
{
	return atomic64_read(&pins_now);
}

static void audit_pin(const struct exo_pinned *pin, u32 type, const struct exo_unpin *end)
{
	exo_audit(&(struct exo_audit_event){
		.type = type,
		.volume_id = pin->volume->id,
		.ino = pin->ino,
		.generation = pin->generation,
		.length = end ? end->drain_ns : pin->size_bytes,
		.hops = end ? end->drained_traversals : 0,
	});
}

static void pin_free(struct kref *ref)
{
	struct exo_pinned *pin = container_of(ref, struct exo_pinned, ref);

	WARN_ON_ONCE(!list_empty(&pin->grants));
	exo_cache_free(pin->cache);
	kvfree(pin->map_memory);
	exo_volume_put(pin->volume);
	kfree_rcu(pin, rcu);
}

void exo_pin_get(struct exo_pinned *pin)
{
	kref_get(&pin->ref);
}

/**
 * exo_pin_put() - drop a reference
 * @pin: which may be freed by the call
 *
 * Context: process, since maps may be in vmalloc space.
 */
void exo_pin_put(struct exo_pinned *pin)
{
	kref_put(&pin->ref, pin_free);
}

/* ---- registration ---- */

/* A million extents take a while. */
static int compare_and_resched(const void *a, const void *b)
{
	cond_resched();
	return exo_extent_compare_device(a, b);
}

/*
 * Copies the extents once, checks the copy and lays it out. The copy is then sorted by place on the
 * device to prove that no block is mapped twice.
 */
static int read_map(struct exo_pinned *pin, u64 user_extents, u32 count)
{
	const struct exo_extent_limits limits = {
		.file_bytes = pin->size_bytes,
		.device_bytes = pin->volume->size_bytes,
		.block_bytes = pin->volume->block_bytes,
	};
	struct exo_extent *extents;
	size_t bytes = array_size(count, sizeof(*extents));
	int ret;

	extents = kvmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!extents)
		return -ENOMEM;
	ret = -EFAULT;
	if (copy_from_user(extents, u64_to_user_ptr(user_extents), bytes))
		goto out;
	ret = -EINVAL;
	if (exo_extent_map_check(extents, count, &limits) != EXO_EXTENT_OK)
		goto out;
	ret = -ENOMEM;
	pin->map_memory = kvmalloc(exo_extent_map_bytes(count), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pin->map_memory)
		goto out;
	exo_extent_map_build(&pin->map, pin->map_memory, extents, count);

	sort(extents, count, sizeof(*extents), compare_and_resched, NULL);
	ret = exo_extent_map_check_device_order(extents, count) == EXO_EXTENT_OK ? 0 : -EINVAL;
out:
	kvfree(extents);
	return ret;
}

static int publish(struct exo_volume *volume, struct exo_pinned *pin)
{
	int ret;

	guard(mutex)(&volume->lock);
	if (volume->gone || volume->ending)
		return -ENODEV;
	/* The extents were checked against the size at attach; root may have shrunk the partition. */
	if (bdev_nr_bytes(volume->bdev) < volume->size_bytes)
		return exo_volume_error(volume, -EINVAL);
	ret = xa_insert(&volume->pins, pin->ino, pin, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret == -EBUSY ? -EEXIST : ret;
	pin->id = atomic64_inc_return(&last_pin_id);
	ret = xa_insert(&exo_pins, pin->id, pin, GFP_KERNEL_ACCOUNT);
	if (ret) {
		xa_erase(&volume->pins, pin->ino);
		return ret;
	}
	WRITE_ONCE(volume->pin_count, volume->pin_count + 1);
	atomic64_inc(&pins_now);
	audit_pin(pin, EXO_AUDIT_PIN, NULL);
	return 0;
}

/**
 * exo_pin_register() - serve EXO_VOLUME_PIN
 * @call: argument struct exo_pin
 *
 * Context: process, may sleep.
 */
int exo_pin_register(struct exo_ioctl_call *call)
{
	struct exo_pin *arg = call->arg;
	struct exo_volume *volume = call->file->private_data;
	struct exo_pinned *pin;
	int ret;

	/* An inode in memory keeps 32 bits of its generation; a longer one could be mistaken. */
	if (!arg->ino || arg->generation > U32_MAX || arg->flags ||
	    arg->size_bytes > MAX_LFS_FILESIZE - EXO_MAX_LOGICAL_BLOCK_BYTES)
		return -EINVAL;
	if (arg->extent_count > EXO_MAX_EXTENTS)
		return -E2BIG;

	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return -ENOMEM;
	exo_volume_get(volume);
	pin->volume = volume;
	pin->ino = arg->ino;
	pin->generation = arg->generation;
	pin->size_bytes = arg->size_bytes;
	pin->pinned_at_ns = ktime_get_real_ns();
	kref_init(&pin->ref);
	spin_lock_init(&pin->lock);
	INIT_LIST_HEAD(&pin->grants);
	init_waitqueue_head(&pin->wait);

	ret = read_map(pin, arg->extents, arg->extent_count);
	if (ret)
		goto err_put;
	pin->cache = exo_cache_create(arg->size_bytes);
	/*
	 * Once published the pin may be ended by another thread, so one more reference for the
	 * answer.
	 */
	kref_get(&pin->ref);
	ret = publish(volume, pin);
	if (ret)
		goto err_put_both;
	arg->pin_id = pin->id;
	exo_pin_put(pin);
	return 0;

err_put_both:
	exo_pin_put(pin);
err_put:
	exo_pin_put(pin);
	return ret;
}

/* ---- grants on a pin ---- */

/**
 * exo_pin_find() - the pin of an inode
 * @volume: to look in
 * @ino: of the file
 *
 * Context: process, may sleep.
 * Return: a referenced pin, or NULL.
 */
struct exo_pinned *exo_pin_find(struct exo_volume *volume, u64 ino)
{
	struct exo_pinned *pin;

	guard(mutex)(&volume->lock);
	pin = xa_load(&volume->pins, ino);
	if (pin)
		kref_get(&pin->ref);
	return pin;
}

/**
 * exo_pin_add_grant() - let a new grant stand on a pin
 * @pin: referenced by the grant
 * @grant: on no list yet
 *
 * Context: process.
 * Return: 0, or -EKEYREVOKED when the pin, or the grant's parent, has begun to end.
 */
int exo_pin_add_grant(struct exo_pinned *pin, struct exo_grant *grant)
{
	struct exo_grant *parent = grant->parent;
	int ret = -EKEYREVOKED;

	spin_lock(&pin->lock);
	if (pin->state == EXO_PIN_LIVE && (!parent || parent->state == EXO_PIN_LIVE)) {
		/* First, so that a revocation under way never comes to it. */
		if (parent)
			list_add(&grant->sibling, &parent->children);
		list_add_tail(&grant->pin_entry, &pin->grants);
		atomic_inc(&pin->open_grants);
		atomic64_inc(&pin->volume->grants);
		ret = 0;
	}
	spin_unlock(&pin->lock);
	return ret;
}

/**
 * exo_pin_close_grant() - a holder has closed its grant fd
 * @pin: that the grant stands on
 *
 * The grant stays on the pin's list until its last traversal has ended, so that a drain sees it.
 * Context: process.
 */
void exo_pin_close_grant(struct exo_pinned *pin)
{
	atomic64_dec(&pin->volume->grants);
	if (atomic_dec_and_test(&pin->open_grants))
		wake_up_all(&pin->wait);
}

/**
 * exo_pin_remove_grant() - the last reference to a grant has gone
 * @pin: that the grant stands on
 * @grant: with nothing in flight
 *
 * Context: process.
 */
void exo_pin_remove_grant(struct exo_pinned *pin, struct exo_grant *grant)
{
	spin_lock(&pin->lock);
	list_del(&grant->pin_entry);
	if (grant->parent)
		list_del(&grant->sibling);
	spin_unlock(&pin->lock);
}

/* ---- the end of a pin ---- */

/* No new grant from here on; pollers see it. */
static void begin_revocation(struct exo_pinned *pin)
{
	spin_lock(&pin->lock);
	if (pin->state == EXO_PIN_LIVE)
		WRITE_ONCE(pin->state, EXO_PIN_REVOKING);
	spin_unlock(&pin->lock);
	wake_up_all(&pin->wait);
}

static u32 in_flight(struct exo_pinned *pin)
{
	struct exo_grant *grant;
	u32 sum = 0;

	spin_lock(&pin->lock);
	list_for_each_entry(grant, &pin->grants, pin_entry)
		sum += atomic_read(&grant->in_flight);
	spin_unlock(&pin->lock);
	return sum;
}

/*
 * Whether anything is in flight on a cut pin. Begins with the grant that was found busy the last
 * time, and grants become idle for good once the few starts that raced with the cut have seen it, so
 * all the looks of a drain together take few rounds.
 */
static bool busy(struct exo_pinned *pin)
{
	struct exo_grant *grant;
	bool found = false;

	spin_lock(&pin->lock);
	list_for_each_entry(grant, &pin->grants, pin_entry) {
		found = atomic_read(&grant->in_flight);
		if (!found)
			continue;
		list_rotate_to_front(&grant->pin_entry, &pin->grants);
		break;
	}
	spin_unlock(&pin->lock);
	return found;
}

/* Records the revocation of a few grants; returns how many. */
static u32 record_cut(struct exo_pinned *pin)
{
	struct exo_grant *grant, *next;
	u32 recorded = 0;

	spin_lock(&pin->lock);
	list_for_each_entry_safe(grant, next, &pin->grants, pin_entry) {
		if (grant->cut || !READ_ONCE(grant->open))
			continue;
		grant->cut = true;
		exo_grant_audit(grant, EXO_AUDIT_GRANT_REVOKE, 0);
		if (++recorded == EXO_CUT_BURST)
			break;
	}
	spin_unlock(&pin->lock);
	return recorded;
}

/*
 * No new traversal from here on, and those in flight end at their next completion. Pairs with
 * exo_grant_enter(): either it sees the cut, or busy() sees its traversal.
 */
static u32 cut(struct exo_pinned *pin)
{
	u32 recorded, revoked = 0;

	spin_lock(&pin->lock);
	WRITE_ONCE(pin->state, EXO_PIN_CUT);
	spin_unlock(&pin->lock);
	/* Orders the cut before the look at what is in flight. */
	smp_mb();
	wake_up_all(&pin->wait);
	exo_fair_look(pin->volume->fair);

	/* No grant is added to a pin that is being cut, so this ends. */
	while ((recorded = record_cut(pin))) {
		revoked += recorded;
		cond_resched();
	}
	exo_count_add(revoked_grants, revoked);
	return revoked;
}

/* Waits for the holders to close their grants by themselves. */
static int wait_grace(struct exo_pinned *pin, unsigned long deadline)
{
	long left = deadline - jiffies;

	if (left <= 0 || !atomic_read(&pin->open_grants))
		return 0;
	return wait_event_killable_timeout(pin->wait, !atomic_read(&pin->open_grants), left) < 0 ?
		-EINTR : 0;
}

static int drain(struct exo_pinned *pin)
{
	long left;

	left = wait_event_killable_timeout(pin->wait, !busy(pin),
					   msecs_to_jiffies(exo_limit(drain_timeout_ms)));
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

/*
 * Cuts and drains one pin whose revocation has begun. Several threads may do so at once; each
 * returns 0 only when nothing is in flight.
 */
static int cut_and_drain(struct exo_pinned *pin, struct exo_unpin *result)
{
	u32 revoked = cut(pin);
	u64 cut_at = ktime_get_ns();
	int ret;

	result->drained_traversals = in_flight(pin);
	result->revoked_grants = revoked;
	ret = drain(pin);
	result->drain_ns = ktime_get_ns() - cut_at;
	return ret;
}

/* Forgets a drained pin; does nothing when another thread was first. */
static void forget(struct exo_volume *volume, struct exo_pinned *pin,
		   const struct exo_unpin *result)
{
	lockdep_assert_held(&volume->lock);
	if (xa_load(&volume->pins, pin->ino) != pin)
		return;
	xa_erase(&volume->pins, pin->ino);
	xa_erase(&exo_pins, pin->id);
	WRITE_ONCE(volume->pin_count, volume->pin_count - 1);
	atomic64_dec(&pins_now);
	audit_pin(pin, EXO_AUDIT_UNPIN, result);
	exo_pin_put(pin);
}

/**
 * exo_pin_unregister() - serve EXO_VOLUME_UNPIN
 * @call: argument struct exo_unpin
 *
 * Context: process, may sleep.
 */
int exo_pin_unregister(struct exo_ioctl_call *call)
{
	struct exo_unpin *arg = call->arg;
	struct exo_volume *volume = call->file->private_data;
	struct exo_pinned *pin;
	int ret;

	if (arg->flags)
		return -EINVAL;
	pin = exo_pin_find(volume, arg->ino);
	if (!pin)
		return -ENOENT;
	if (pin->generation != arg->generation) {
		exo_pin_put(pin);
		return -ENOENT;
	}

	begin_revocation(pin);
	ret = wait_grace(pin, exo_pin_grace_deadline(arg->grace_ms));
	if (!ret)
		ret = cut_and_drain(pin, arg);
	if (!ret) {
		mutex_lock(&volume->lock);
		forget(volume, pin, arg);
		mutex_unlock(&volume->lock);
	}
	exo_pin_put(pin);
	return ret;
}

/* The referenced pin after inode number *@ino, or NULL. */
static struct exo_pinned *next_pin(struct exo_volume *volume, unsigned long *ino)
{
	struct exo_pinned *pin;

	guard(mutex)(&volume->lock);
	pin = xa_find_after(&volume->pins, ino, ULONG_MAX, XA_PRESENT);
	if (pin)
		kref_get(&pin->ref);
	return pin;
}

/**
 * exo_pin_end_cancel() - let new pins in again as far as this end was concerned
 * @volume: on which exo_pin_end_all() has succeeded, or fails
 *
 * Context: process, may sleep.
 */
void exo_pin_end_cancel(struct exo_volume *volume)
{
	guard(mutex)(&volume->lock);
	volume->ending--;
}

/**
 * exo_pin_end_all() - end every pin of a volume and let no new one in
 * @volume: referenced by the caller, and claimed
 * @grace_ms: for all holders together
 *
 * Several may run at once. New pins are kept out until each has failed; after success that takes
 * exo_pin_end_cancel(). Pins that had begun to end stay so.
 *
 * Context: process, may sleep.
 * Return: 0, -EINTR, -ETIMEDOUT, or -ENODEV when the volume's device was already let go.
 */
int exo_pin_end_all(struct exo_volume *volume, u32 grace_ms)
{
	unsigned long deadline = exo_pin_grace_deadline(grace_ms);
	struct exo_unpin result = {};
	struct exo_pinned *pin;
	unsigned long ino = 0;
	int ret = 0;

	mutex_lock(&volume->lock);
	if (volume->gone)
		ret = -ENODEV;
	else
		volume->ending++;
	mutex_unlock(&volume->lock);
	if (ret)
		return ret;

	/*
	 * All holders are told before any is waited for, so that one grace period serves them all.
	 */
	while ((pin = next_pin(volume, &ino))) {
		begin_revocation(pin);
		exo_pin_put(pin);
	}
	for (ino = 0; !ret && (pin = next_pin(volume, &ino));) {
		ret = wait_grace(pin, deadline);
		if (!ret)
			ret = cut_and_drain(pin, &result);
		if (!ret) {
			mutex_lock(&volume->lock);
			forget(volume, pin, &result);
			mutex_unlock(&volume->lock);
		}
		exo_pin_put(pin);
	}
	if (ret)
		exo_pin_end_cancel(volume);
	return ret;
}

/**
 * exo_pin_fill_entry() - describe a pin for a listing
 * @pin: to describe
 * @entry: filled
 *
 * Context: under rcu_read_lock().
 */
void exo_pin_fill_entry(const struct exo_pinned *pin, struct exo_pin_entry *entry)
{
	entry->pin_id = pin->id;
	entry->ino = pin->ino;
	entry->generation = pin->generation;
	entry->size_bytes = pin->size_bytes;
	entry->volume_id = pin->volume->id;
	entry->extents = pin->map.count;
	entry->grants = atomic_read(&pin->open_grants);
	entry->state = min_t(u32, READ_ONCE(pin->state), EXO_PIN_STATE_REVOKING);
	entry->pinned_at_ns = pin->pinned_at_ns;
}
