// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two calls that wait for traversals: one, and a batch. Both wait killably: a killed caller gives
 * its reads a moment and leaves the rest to the engine.
 */
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "drive.h"
#include "ioctl.h"
#include "limits.h"
#include "traversal.h"
#include "traverse.h"
#include "traverse_calls.h"

/* A machine that is to be suspended does not wait for callers who wait. */
#define EXO_WAIT_STATE	(TASK_KILLABLE | TASK_FREEZABLE)

/* Spins a little between two looks at a poll queue. */
static void relax(void)
{
	if (need_resched())
		cond_resched();
	else
		cpu_relax();
}

/* Leaves what a killed caller has started to the engine, and what nobody polls any more to a watcher. */
static void leave_behind(struct exo_traversal *t)
{
	if (exo_traversal_polled(t))
		exo_watch_leave(t);
	else
		exo_traverse_put(t, false);
}

/* ---- one ---- */

static void tell_caller(struct exo_traversal *t)
{
	complete(&t->done);
}

/* A killed caller spins on for a moment. The device may never answer, or its driver not ask it to. */
static int poll_to_end(struct exo_traversal *t)
{
	unsigned long leave_at = 0;
	bool killed = false;

	while (!t->ended) {
		if (fatal_signal_pending(current)) {
			if (!killed)
				leave_at = jiffies + msecs_to_jiffies(EXO_CANCEL_WAIT_MS);
			else if (time_after(jiffies, leave_at))
				return -EINTR;
			killed = true;
			WRITE_ONCE(t->cancel, true);
		}
		exo_drive_poll(t);
		relax();
	}
	return 0;
}

static int wait_for_end(struct exo_traversal *t)
{
	if (exo_traversal_polled(t))
		return poll_to_end(t);
	/* A caller that is woken before the end goes on with the traversal itself. */
	while (!wait_for_completion_state(&t->done, EXO_WAIT_STATE)) {
		if (t->ended)
			return 0;
		exo_drive_resume(t);
	}
	WRITE_ONCE(t->cancel, true);
	while (!exo_drive_give_up(t)) {
		wait_for_completion(&t->done);
		exo_drive_resume(t);
	}
	return wait_for_completion_timeout(&t->done, msecs_to_jiffies(EXO_CANCEL_WAIT_MS)) ? 0 :
		-EINTR;
}

/**
 * exo_traverse_ioctl() - serve EXO_GRANT_TRAVERSE
 * @call: argument struct exo_traverse
 *
 * Context: process, may sleep.
 */
int exo_traverse_ioctl(struct exo_ioctl_call *call)
{
	struct exo_traverse *arg = call->arg;
	struct exo_traversal *t;
	int ret;

	t = exo_traverse_prepare(call->file, arg);
	if (IS_ERR(t))
		return PTR_ERR(t);
	init_completion(&t->done);
	t->on_end = tell_caller;
	if (t->engine == EXO_ENGINE_DISPATCH)
		atomic_set(&t->dispatcher, EXO_DISPATCHER_CALLER);
	exo_drive_start(t, exo_traversal_polled(t) ? EXO_CONTEXT_POLLER : EXO_CONTEXT_CALLER);
	ret = wait_for_end(t);
	if (ret) {
		leave_behind(t);
		return ret;
	}
	ret = exo_traverse_copy_out(t, &arg->outcome);
	exo_traverse_put(t, true);
	return ret;
}

/* ---- a batch ---- */

/*
 * Where the ends of a batch's traversals come together. Each of them holds a reference, since a
 * killed caller may leave.
 */
struct ends {
	struct llist_head list;
	struct completion more;		/* the list is not empty, or was not */
	refcount_t refs;
};

struct batch {
	struct file *file;		/* of the grant or set */
	u8 __user *entries;
	u32 entry_bytes;
	u32 count;
	u32 next;			/* to start */
	u32 running;
	u32 polled;			/* of them */
	int error;			/* that ends the call; nothing is started any more */
	unsigned long leave_at;		/* jiffies; for a killed caller that polls */
	struct exo_traversal **started;	/* by index; NULL = not, or reaped */
	struct ends *ends;
};

static void ends_put(struct ends *ends)
{
	if (refcount_dec_and_test(&ends->refs))
		kfree(ends);
}

static void tell_batch(struct exo_traversal *t)
{
	struct ends *ends = t->owner;

	/* Only the one that finds the list empty has anybody to wake. */
	if (llist_add(&t->ended_entry, &ends->list))
		complete(&ends->more);
	ends_put(ends);
}

static u8 __user *entry_of(const struct batch *b, u32 index)
{
	return b->entries + (size_t)index * b->entry_bytes;
}

static void write_outcome(struct batch *b, u32 index, const struct exo_outcome *outcome)
{
	if (copy_to_user(entry_of(b, index) + offsetof(struct exo_traverse, outcome), outcome,
			 sizeof(*outcome)))
		b->error = -EFAULT;
}

/* Starts the next one; false = not now, because others in flight must end first. */
static bool start_next(struct batch *b)
{
	struct exo_traverse arg;
	struct exo_traversal *t;
	u32 index = b->next;
	int ret;

	ret = copy_struct_from_user(&arg, sizeof(arg), entry_of(b, index), b->entry_bytes);
	if (ret == -EFAULT) {
		b->error = ret;
		return false;
	}
	t = ret ? ERR_PTR(ret) : exo_traverse_prepare(b->file, &arg);
	if (IS_ERR(t)) {
		if (PTR_ERR(t) == -EAGAIN && b->running)
			return false;
		b->next++;
		write_outcome(b, index, &(struct exo_outcome){
			.cause = EXO_END_NOT_STARTED,
			.error = PTR_ERR(t),
		});
		return true;
	}
	b->next++;
	b->running++;
	b->polled += exo_traversal_polled(t);
	b->started[index] = t;
	t->index = index;
	t->on_end = tell_batch;
	t->owner = b->ends;
	refcount_inc(&b->ends->refs);
	exo_drive_start(t, exo_traversal_polled(t) ? EXO_CONTEXT_POLLER : EXO_CONTEXT_SUBMITTER);
	return true;
}

static void reap(struct batch *b)
{
	struct llist_node *list = llist_del_all(&b->ends->list);
	struct exo_traversal *t, *next;
	struct exo_outcome outcome;

	llist_for_each_entry_safe(t, next, list, ended_entry) {
		if (exo_traverse_copy_out(t, &outcome))
			b->error = -EFAULT;
		write_outcome(b, t->index, &outcome);
		b->started[t->index] = NULL;
		b->running--;
		b->polled -= exo_traversal_polled(t);
		exo_traverse_put(t, true);
	}
}

static void cancel_all(const struct batch *b)
{
	for (u32 i = 0; i < b->next; i++) {
		if (b->started[i])
			WRITE_ONCE(b->started[i]->cancel, true);
	}
}

/* Looks once for every polled traversal. One that ends is on the list, but not freed yet. */
static void poll_all(const struct batch *b)
{
	for (u32 i = 0; i < b->next; i++) {
		struct exo_traversal *t = b->started[i];

		if (t && exo_traversal_polled(t) && !t->ended)
			exo_drive_poll(t);
	}
	relax();
}

/* Waits until something has ended; -EINTR when the caller was killed and waited long enough. */
static int wait_for_some(struct batch *b)
{
	if (b->polled) {
		while (llist_empty(&b->ends->list)) {
			if (fatal_signal_pending(current)) {
				if (b->error != -EINTR)
					b->leave_at = jiffies +
						      msecs_to_jiffies(EXO_CANCEL_WAIT_MS);
				else if (time_after(jiffies, b->leave_at))
					return -EINTR;
				b->error = -EINTR;
				cancel_all(b);
			}
			poll_all(b);
		}
		return 0;
	}
	if (b->error != -EINTR && !wait_for_completion_state(&b->ends->more, EXO_WAIT_STATE))
		return 0;
	b->error = -EINTR;
	cancel_all(b);
	return wait_for_completion_timeout(&b->ends->more, msecs_to_jiffies(EXO_CANCEL_WAIT_MS)) ?
		0 : -EINTR;
}

/* A killed caller leaves. */
static void leave(struct batch *b)
{
	reap(b);
	for (u32 i = 0; i < b->next; i++) {
		if (b->started[i])
			leave_behind(b->started[i]);
	}
}

static int run_batch(struct batch *b)
{
	for (;;) {
		while (b->next < b->count && !b->error && start_next(b)) {
			/* What has ended already makes room, and its memory free. */
			if (!llist_empty(&b->ends->list))
				reap(b);
			cond_resched();
		}
		if (!b->running)
			return b->error;
		if (wait_for_some(b)) {
			leave(b);
			return -EINTR;
		}
		reap(b);
	}
}

/**
 * exo_traverse_batch_ioctl() - serve EXO_GRANT_BATCH
 * @call: argument struct exo_batch
 *
 * Context: process, may sleep.
 */
int exo_traverse_batch_ioctl(struct exo_ioctl_call *call)
{
	const struct exo_batch *arg = call->arg;
	struct batch b = {
		.file = call->file,
		.entries = u64_to_user_ptr(arg->traversals),
		.entry_bytes = arg->entry_bytes,
		.count = arg->count,
	};
	int ret = -ENOMEM;

	if (arg->flags || arg->reserved || arg->entry_bytes < sizeof(struct exo_traverse))
		return -EINVAL;
	if (arg->count > EXO_MAX_BATCH || arg->entry_bytes > PAGE_SIZE)
		return -E2BIG;

	b.ends = kmalloc(sizeof(*b.ends), GFP_KERNEL_ACCOUNT);
	b.started = kvcalloc(arg->count, sizeof(*b.started), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (b.ends && (b.started || !arg->count)) {
		init_llist_head(&b.ends->list);
		init_completion(&b.ends->more);
		refcount_set(&b.ends->refs, 1);
		ret = run_batch(&b);
		ends_put(b.ends);
	} else {
		kfree(b.ends);
	}
	kvfree(b.started);
	return ret;
}
