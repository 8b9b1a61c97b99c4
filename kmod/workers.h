/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which worker goes on with a traversal that cannot go on where it is. What it does is drive.c's.
 *
 * Two rules keep devices and tenants from waiting for each other here. Workers that all share never
 * sleep for a device: what may sleep, a bio or a driver's queue_rq(), is left to workers of its
 * volume, so a device that is frozen, throttled or hung holds up no other. And what waits for a worker
 * keeps a request only where nothing comes first but short work of high priority: whoever freezes the
 * queue or is short of tags waits for that request, and what holds the worker up may in turn wait
 * for the freeze to end.
 */
#ifndef EXO_WORKERS_H
#define EXO_WORKERS_H

#include <linux/types.h>

struct exo_read;
struct exo_traversal;
struct exo_volume;
struct work_struct;

void exo_workers_defer(struct exo_traversal *t);
void exo_workers_defer_short(struct work_struct *work);
bool exo_workers_may_issue(const struct exo_traversal *t, const struct exo_read *read);
bool exo_workers_may_step(const struct exo_traversal *t);
int exo_workers_begin_volume(struct exo_volume *volume);
void exo_workers_end_volume(struct exo_volume *volume);
int exo_workers_init(void);
void exo_workers_exit(void);

#endif /* EXO_WORKERS_H */
