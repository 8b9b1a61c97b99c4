/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How every exo fd serves ioctls: one table per kind of fd, sizes taken from the command, user
 * memory copied once in and once out. What a command means is left to its handler.
 */
#ifndef EXO_IOCTL_H
#define EXO_IOCTL_H

#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/types.h>

/* Large enough for the argument of every command; exo_ioctl_dispatch() checks that. */
#define EXO_IOCTL_MAX_BYTES	256

struct exo_ioctl_call {
	struct file *file;		/* that the ioctl was called on */
	void *arg;			/* the kernel's copy, completed with zeros */
	struct file *new_file;		/* set by a handler whose result is a new fd */
	int new_fd;			/* reserved by it, installed after the copy back */
	bool answers;			/* set by one that fails, but has something to say */
};

struct exo_ioctl {
	unsigned int command;		/* with the module's size */
	unsigned int first_bytes;	/* size when the command was first published */
	int (*handler)(struct exo_ioctl_call *call);	/* 0 or a negative errno; may sleep */
};

#define EXO_IOCTL(_command, _first_bytes, _handler)	\
	{ .command = (_command), .first_bytes = (_first_bytes), .handler = (_handler) }

long exo_ioctl_dispatch(const struct exo_ioctl *table, size_t entries, struct file *file,
			unsigned int command, unsigned long user_arg);
int exo_ioctl_new_fd(struct exo_ioctl_call *call, const char *name,
		     const struct file_operations *fops, void *private_data, int flags);

#endif /* EXO_IOCTL_H */
