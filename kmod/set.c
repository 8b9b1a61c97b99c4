// SPDX-License-Identifier: GPL-2.0-only
/* Making sets of grants, and the fd over one. What runs on it is traversal.c's. */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "grant.h"
#include "grant_fd.h"
#include "ioctl.h"
#include "limits.h"
#include "pin.h"
#include "set.h"
#include "traverse_calls.h"
#include "traverse_uring.h"
#include "volume.h"

/* ---- lifetime ---- */

void exo_set_get(struct exo_set *set)
{
	kref_get(&set->ref);
}

static void set_free(struct kref *ref)
{
	struct exo_set *set = container_of(ref, struct exo_set, ref);

	for (u32 i = 0; i < set->count && set->files[i]; i++)
		fput(set->files[i]);
	kfree(set->grants);
	kfree(set);
}

/**
 * exo_set_put() - drop a reference
 * @set: which may be freed by the call
 *
 * Context: process.
 */
void exo_set_put(struct exo_set *set)
{
	kref_put(&set->ref, set_free);
}

/* ---- the fd ---- */

static const struct exo_ioctl set_ioctls[] = {
	EXO_IOCTL(EXO_GRANT_TRAVERSE, sizeof(struct exo_traverse), exo_traverse_ioctl),
	EXO_IOCTL(EXO_GRANT_BATCH, sizeof(struct exo_batch), exo_traverse_batch_ioctl),
};

static long set_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	return exo_ioctl_dispatch(set_ioctls, ARRAY_SIZE(set_ioctls), file, command, arg);
}

static __poll_t set_poll(struct file *file, poll_table *wait)
{
	struct exo_set *set = file->private_data;
	__poll_t events = 0;

	for (u32 i = 0; i < set->count; i++)
		events |= exo_grant_poll(set->grants[i], file, wait);
	return events;
}

static int set_release(struct inode *inode, struct file *file)
{
	exo_set_put(file->private_data);
	return 0;
}

static void set_show_fdinfo(struct seq_file *seq, struct file *file)
{
	const struct exo_set *set = file->private_data;

	for (u32 i = 0; i < set->count; i++)
		seq_printf(seq, "exo-slot:\t%u grant %llu\n", i, set->grants[i]->id);
}

static const struct file_operations set_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = set_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = exo_traverse_uring,
	.uring_cmd_iopoll = exo_traverse_uring_poll,
	.poll = set_poll,
	.release = set_release,
	.show_fdinfo = set_show_fdinfo,
};

/**
 * exo_set_of_file() - the set behind a file
 * @file: referenced by the caller
 *
 * Return: the set, which lives as long as the file, or NULL if the file is none.
 */
struct exo_set *exo_set_of_file(struct file *file)
{
	return file->f_op == &set_fops ? file->private_data : NULL;
}

/* ---- create ---- */

static int add_grant(struct exo_set *set, u32 slot, const s32 __user *user_fds)
{
	const struct exo_volume *volume;
	struct exo_grant *grant;
	struct file *file;
	s32 fd;

	if (get_user(fd, user_fds + slot))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	if (file->f_op != &exo_grant_fops) {
		fput(file);
		return -EBADF;
	}
	grant = file->private_data;
	set->files[slot] = file;
	set->grants[slot] = grant;
	volume = grant->pin->volume;
	set->dispatch_only |= volume->dispatch_only;
	set->pollable &= volume->pollable;
	set->hop_limit = min(set->hop_limit, grant->hop_limit);
	if (grant->expires &&
	    (!set->expires || time_before(grant->expires_at, set->expires_at))) {
		set->expires = true;
		set->expires_at = grant->expires_at;
	}
	return 0;
}

static struct exo_set *make(const struct exo_set_create *arg)
{
	struct exo_set *set;
	int ret = 0;

	set = kzalloc(struct_size(set, files, arg->count), GFP_KERNEL_ACCOUNT);
	if (!set)
		return ERR_PTR(-ENOMEM);
	kref_init(&set->ref);
	set->count = arg->count;
	set->hop_limit = EXO_MAX_HOPS;
	set->pollable = true;
	set->grants = kcalloc(arg->count, sizeof(*set->grants), GFP_KERNEL_ACCOUNT);
	if (!set->grants)
		ret = -ENOMEM;
	for (u32 i = 0; i < arg->count && !ret; i++)
		ret = add_grant(set, i, u64_to_user_ptr(arg->grant_fds));
	if (!ret)
		return set;
	exo_set_put(set);
	return ERR_PTR(ret);
}

/**
 * exo_set_create() - serve EXO_IOC_SET_CREATE
 * @call: argument struct exo_set_create
 *
 * Context: process, may sleep.
 */
int exo_set_create(struct exo_ioctl_call *call)
{
	const struct exo_set_create *arg = call->arg;
	struct exo_set *set;
	int ret;

	if (arg->flags || !arg->count)
		return -EINVAL;
	if (arg->count > EXO_MAX_SLOTS)
		return -E2BIG;
	set = make(arg);
	if (IS_ERR(set))
		return PTR_ERR(set);
	ret = exo_ioctl_new_fd(call, "[exo-set]", &set_fops, set, O_RDWR);
	if (ret)
		exo_set_put(set);
	return ret;
}
