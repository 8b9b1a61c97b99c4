// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring of fixed events under one spinlock. Only failures and changes of state are audited, never
 * a hop, so the lock is not on any hot path. The ring overwrites its oldest events; what nobody had
 * read by then is counted as lost.
 *
 * Any process can fail as often as it likes. What a user's failures exceed a quota by is counted
 * and recorded as one event a second.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "audit.h"
#include "ioctl.h"
#include "limits.h"

static_assert(!(EXO_AUDIT_RING_EVENTS & (EXO_AUDIT_RING_EVENTS - 1)));

static DEFINE_SPINLOCK(ring_lock);
static DECLARE_WAIT_QUEUE_HEAD(ring_wait);
static struct exo_audit_event *ring;	/* guarded by ring_lock, as are the three below */
static u64 ring_last;			/* sequence of the newest event; 0 = none yet */
static u64 ring_seen;			/* highest sequence that any reader was given */
static u64 ring_lost;

/* Users whose numbers fall together share one. Guarded by ring_lock. */
struct audit_quota {
	unsigned long begin;		/* of the second that counts, in jiffies */
	u32 used;
	u32 uid;			/* of what was suppressed; -1 = of several users */
	u64 suppressed;
};

static struct audit_quota quotas[1 << EXO_AUDIT_QUOTA_BITS];

static void report_suppressed(struct work_struct *work);
static DECLARE_DELAYED_WORK(report_work, report_suppressed);

struct audit_reader {
	struct mutex lock;		/* one read at a time; guards next */
	u64 next;			/* sequence to deliver next */
	u32 event_bytes;		/* as this reader knows an event */
};

static struct exo_audit_event *slot(u64 sequence)
{
	return &ring[sequence & (EXO_AUDIT_RING_EVENTS - 1)];
}

static u64 oldest(void)
{
	return ring_last < EXO_AUDIT_RING_EVENTS ? 1 : ring_last - EXO_AUDIT_RING_EVENTS + 1;
}

void exo_actor_current(struct exo_actor *actor)
{
	actor->uid = from_kuid(&init_user_ns, current_uid());
	actor->pid = task_tgid_nr(current);
	memset(actor->comm, 0, sizeof(actor->comm));
	get_task_comm(actor->comm, current);
}

/* What an ordinary process can cause without end. */
static bool limited(const struct exo_audit_event *event)
{
	return event->uid && (event->type == EXO_AUDIT_GRANT_DENIED ||
			      event->type == EXO_AUDIT_TRAVERSAL_FAILED);
}

static bool within_quota(u32 uid)
{
	struct audit_quota *quota = &quotas[hash_32(uid, EXO_AUDIT_QUOTA_BITS)];

	lockdep_assert_held(&ring_lock);
	if (!quota->used || time_after_eq(jiffies, quota->begin + HZ)) {
		quota->begin = jiffies;
		quota->used = 0;
	}
	if (quota->used < EXO_AUDIT_FAILURES_PER_SECOND) {
		quota->used++;
		return true;
	}
	quota->uid = quota->suppressed && quota->uid != uid ? U32_MAX : uid;
	quota->suppressed++;
	schedule_delayed_work(&report_work, HZ);
	return false;
}

static void put(struct exo_audit_event *event)
{
	lockdep_assert_held(&ring_lock);
	event->sequence = ++ring_last;
	if (event->sequence > EXO_AUDIT_RING_EVENTS &&
	    event->sequence - EXO_AUDIT_RING_EVENTS > ring_seen)
		ring_lost++;
	*slot(event->sequence) = *event;
}

static void report_suppressed(struct work_struct *work)
{
	u64 time_ns = ktime_get_real_ns();

	spin_lock_bh(&ring_lock);
	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		struct exo_audit_event event = {
			.type = EXO_AUDIT_SUPPRESSED,
			.time_ns = time_ns,
			.uid = quotas[i].uid,
			.length = quotas[i].suppressed,
		};

		if (!quotas[i].suppressed)
			continue;
		quotas[i].suppressed = 0;
		put(&event);
	}
	spin_unlock_bh(&ring_lock);

	wake_up_interruptible(&ring_wait);
}

/**
 * exo_audit_as() - record an event
 * @event: everything but sequence, time, uid, pid and comm
 * @actor: who caused it
 *
 * Context: any but NMI and hard interrupt.
 */
void exo_audit_as(const struct exo_audit_event *event, const struct exo_actor *actor)
{
	struct exo_audit_event copy = *event;

	copy.time_ns = ktime_get_real_ns();
	copy.uid = actor->uid;
	copy.pid = actor->pid;
	memcpy(copy.comm, actor->comm, sizeof(copy.comm));

	spin_lock_bh(&ring_lock);
	if (!limited(&copy) || within_quota(copy.uid))
		put(&copy);
	spin_unlock_bh(&ring_lock);

	wake_up_interruptible(&ring_wait);
}

/**
 * exo_audit() - record what the current process did
 * @event: everything but sequence, time, uid, pid and comm
 *
 * Context: process.
 */
void exo_audit(const struct exo_audit_event *event)
{
	struct exo_actor actor;

	exo_actor_current(&actor);
	exo_audit_as(event, &actor);
}

void exo_audit_totals(u64 *events, u64 *lost)
{
	spin_lock_bh(&ring_lock);
	*events = ring_last;
	*lost = ring_lost;
	spin_unlock_bh(&ring_lock);
}

/* Copies the next event for a reader that stands at @next; returns its sequence or 0 for none. */
static u64 take(u64 next, struct exo_audit_event *event)
{
	u64 sequence = 0;

	spin_lock_bh(&ring_lock);
	if (next <= ring_last) {
		sequence = max(next, oldest());
		*event = *slot(sequence);
	}
	spin_unlock_bh(&ring_lock);
	return sequence;
}

/* An event counts as seen only once it has reached user space. */
static void mark_seen(u64 sequence)
{
	spin_lock_bh(&ring_lock);
	ring_seen = max(ring_seen, sequence);
	spin_unlock_bh(&ring_lock);
}

static bool pending(u64 next)
{
	bool some;

	spin_lock_bh(&ring_lock);
	some = next <= ring_last;
	spin_unlock_bh(&ring_lock);
	return some;
}

static ssize_t audit_read(struct file *file, char __user *buffer, size_t bytes, loff_t *position)
{
	struct audit_reader *reader = file->private_data;
	const size_t event_bytes = reader->event_bytes;
	struct exo_audit_event event;
	const size_t known = min(event_bytes, sizeof(event));
	ssize_t done = 0;
	u64 sequence;
	int ret = 0;

	if (bytes < event_bytes)
		return -EINVAL;
	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;

	while (bytes - done >= event_bytes) {
		sequence = take(reader->next, &event);
		if (!sequence) {
			if (done)
				break;
			if (file->f_flags & O_NONBLOCK) {
				ret = -EAGAIN;
				break;
			}
			ret = wait_event_interruptible(ring_wait, pending(reader->next));
			if (ret)
				break;
			continue;
		}
		if (copy_to_user(buffer + done, &event, known) ||
		    clear_user(buffer + done + known, event_bytes - known)) {
			ret = -EFAULT;
			break;
		}
		mark_seen(sequence);
		reader->next = sequence + 1;
		done += event_bytes;
	}
	mutex_unlock(&reader->lock);
	return done ?: ret;
}

static __poll_t audit_poll(struct file *file, poll_table *wait)
{
	struct audit_reader *reader = file->private_data;

	poll_wait(file, &ring_wait, wait);
	return pending(READ_ONCE(reader->next)) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int audit_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations audit_fops = {
	.owner = THIS_MODULE,
	.read = audit_read,
	.poll = audit_poll,
	.release = audit_release,
};

/**
 * exo_audit_open() - serve EXO_IOC_AUDIT_OPEN
 * @call: argument struct exo_audit_open
 *
 * Context: process, may sleep.
 * Return: 0; -EPERM; -EINVAL unknown flags, event_bytes 0 or too large; -ENOMEM; -EMFILE.
 */
int exo_audit_open(struct exo_ioctl_call *call)
{
	const struct exo_audit_open *arg = call->arg;
	struct audit_reader *reader;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (arg->flags & ~EXO_AUDIT_FROM_NOW)
		return -EINVAL;
	if (!arg->event_bytes || arg->event_bytes > EXO_MAX_LIST_ENTRY_BYTES)
		return -EINVAL;
	reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	if (!reader)
		return -ENOMEM;
	mutex_init(&reader->lock);
	reader->event_bytes = arg->event_bytes;
	spin_lock_bh(&ring_lock);
	reader->next = arg->flags & EXO_AUDIT_FROM_NOW ? ring_last + 1 : 1;
	spin_unlock_bh(&ring_lock);

	ret = exo_ioctl_new_fd(call, "[exo-audit]", &audit_fops, reader, O_RDONLY);
	if (ret)
		kfree(reader);
	return ret;
}

int __init exo_audit_init(void)
{
	ring = vcalloc(EXO_AUDIT_RING_EVENTS, sizeof(*ring));
	return ring ? 0 : -ENOMEM;
}

void exo_audit_exit(void)
{
	cancel_delayed_work_sync(&report_work);
	vfree(ring);
}
