/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of a grant fd that run traversals and wait for them. */
#ifndef EXO_TRAVERSE_CALLS_H
#define EXO_TRAVERSE_CALLS_H

struct exo_ioctl_call;

int exo_traverse_ioctl(struct exo_ioctl_call *call);
int exo_traverse_batch_ioctl(struct exo_ioctl_call *call);

#endif /* EXO_TRAVERSE_CALLS_H */
