/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The grants that a traversal may use, by slot: one, or those of a set. A set is a fd that keeps
 * grant fds open, so it gives nobody more than the grants do, and they stay listed.
 */
#ifndef EXO_SET_H
#define EXO_SET_H

#include <linux/kref.h>
#include <linux/types.h>

struct exo_grant;
struct exo_ioctl_call;
struct file;

struct exo_slots {
	struct exo_grant **grants;
	u32 count;
	struct exo_set *set;		/* that they belong to, or NULL */
};

struct exo_set {
	struct kref ref;		/* of its fd and its traversals */
	u32 count;
	u32 hop_limit;			/* the lowest of its grants' */
	bool expires;
	unsigned long expires_at;	/* jiffies; the earliest of its grants' */
	bool dispatch_only;		/* some slot's device has no hardware queue that exo could use */
	bool pollable;			/* every slot's device is */
	struct exo_grant **grants;	/* constant; each held by its file */
	struct file *files[];
};

int exo_set_create(struct exo_ioctl_call *call);
struct exo_set *exo_set_of_file(struct file *file);
void exo_set_get(struct exo_set *set);
void exo_set_put(struct exo_set *set);

#endif /* EXO_SET_H */
