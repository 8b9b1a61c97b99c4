// SPDX-License-Identifier: GPL-2.0-only
/* The turns of a disk, shared by the volumes that are partitions of it. */
#include <linux/blk-mq.h>
#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "fair.h"

static DEFINE_MUTEX(fairs_lock);	/* guards fairs and who is attached */
static LIST_HEAD(fairs);

static struct exo_fair *fair_create(struct request_queue *queue)
{
	const struct blk_mq_tag_set *set = queue->tag_set;
	struct exo_fair *fair = kzalloc(sizeof(*fair), GFP_KERNEL_ACCOUNT);

	if (!fair)
		return NULL;
	kref_init(&fair->ref);
	fair->queue = queue;
	raw_spin_lock_init(&fair->lock);
	fair->tenants = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&fair->active);
	INIT_LIST_HEAD(&fair->keepers);
	INIT_LIST_HEAD(&fair->waiting);
	timerqueue_init_head(&fair->rates);
	hrtimer_init(&fair->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	fair->timer.function = exo_fair_tick;
	/* A device without hardware queues takes any number. */
	fair->most = !queue_is_mq(queue) ? U32_MAX :
		     set->queue_depth * max(set->map[HCTX_TYPE_READ].nr_queues,
					    set->map[HCTX_TYPE_DEFAULT].nr_queues);
	return fair;
}

/**
 * exo_fair_attach() - the turns of a disk
 * @queue: of the disk, which the caller holds open
 *
 * Context: process, may sleep.
 * Return: to be given back with exo_fair_detach() when the device is let go, and later with
 * exo_fair_put(); NULL if there is no memory.
 */
struct exo_fair *exo_fair_attach(struct request_queue *queue)
{
	struct exo_fair *fair;

	guard(mutex)(&fairs_lock);
	list_for_each_entry(fair, &fairs, entry) {
		if (fair->queue != queue)
			continue;
		fair->attached++;
		kref_get(&fair->ref);
		return fair;
	}
	fair = fair_create(queue);
	if (!fair)
		return NULL;
	fair->attached = 1;
	list_add(&fair->entry, &fairs);
	return fair;
}

/**
 * exo_fair_detach() - a volume is about to let its device go
 * @fair: stays referenced; another disk may get the address of its queue
 *
 * Context: process, may sleep.
 */
void exo_fair_detach(struct exo_fair *fair)
{
	guard(mutex)(&fairs_lock);
	if (!--fair->attached)
		list_del(&fair->entry);
}

static void fair_free(struct kref *ref)
{
	struct exo_fair *fair = container_of(ref, struct exo_fair, ref);

	/* Nothing waits; the timer may still be on its way out. */
	hrtimer_cancel(&fair->timer);
	kfree_rcu(fair, rcu);
}

/**
 * exo_fair_put() - the volume's memory goes
 * @fair: may be freed
 *
 * Context: any but hard interrupt.
 */
void exo_fair_put(struct exo_fair *fair)
{
	kref_put(&fair->ref, fair_free);
}
