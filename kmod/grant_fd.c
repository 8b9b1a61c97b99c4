// SPDX-License-Identifier: GPL-2.0-only
/* ioctl, poll and release of a grant fd. Checks of the right itself are grant.c's. */
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>

#include "derive.h"
#include "grant.h"
#include "grant_fd.h"
#include "ioctl.h"
#include "traverse_calls.h"
#include "traverse_uring.h"

static int grant_info(struct exo_ioctl_call *call)
{
	exo_grant_fill_entry(call->file->private_data, call->arg);
	return 0;
}

static const struct exo_ioctl grant_ioctls[] = {
	EXO_IOCTL(EXO_GRANT_INFO, offsetof(struct exo_grant_entry, weight), grant_info),
	EXO_IOCTL(EXO_GRANT_TRAVERSE, sizeof(struct exo_traverse), exo_traverse_ioctl),
	EXO_IOCTL(EXO_GRANT_DERIVE, offsetof(struct exo_grant_derive, weight), exo_grant_derive),
	EXO_IOCTL(EXO_GRANT_REVOKE, sizeof(struct exo_grant_revoke), exo_grant_revoke),
	EXO_IOCTL(EXO_GRANT_BATCH, sizeof(struct exo_batch), exo_traverse_batch_ioctl),
};

static long grant_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	return exo_ioctl_dispatch(grant_ioctls, ARRAY_SIZE(grant_ioctls), file, command, arg);
}

/**
 * exo_grant_poll() - whether a grant is being taken back
 * @grant: referenced by the caller
 * @file: that is polled: the grant's, or a set's
 * @wait: as the file's poll was given it
 *
 * Return: EPOLLPRI: it is being revoked, close soon. With EPOLLHUP: cut, nothing works any more.
 */
__poll_t exo_grant_poll(const struct exo_grant *grant, struct file *file, poll_table *wait)
{
	poll_wait(file, &grant->pin->wait, wait);
	switch (exo_grant_state(grant)) {
	case EXO_PIN_LIVE:
		return 0;
	case EXO_PIN_REVOKING:
		return EPOLLPRI;
	default:
		return EPOLLPRI | EPOLLHUP;
	}
}

static __poll_t grant_poll(struct file *file, poll_table *wait)
{
	return exo_grant_poll(file->private_data, file, wait);
}

static int grant_release(struct inode *inode, struct file *file)
{
	exo_grant_close(file->private_data);
	return 0;
}

static void grant_show_fdinfo(struct seq_file *seq, struct file *file)
{
	const struct exo_grant *grant = file->private_data;

	seq_printf(seq, "exo-grant:\t%llu\nexo-ino:\t%llu\nexo-range:\t%llu-%llu\n", grant->id,
		   grant->pin->ino, grant->range_start, grant->range_end);
}

const struct file_operations exo_grant_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = grant_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = exo_traverse_uring,
	.uring_cmd_iopoll = exo_traverse_uring_poll,
	.poll = grant_poll,
	.release = grant_release,
	.show_fdinfo = grant_show_fdinfo,
};
