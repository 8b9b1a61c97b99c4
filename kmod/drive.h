/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who drives a traversal, and for how long. Its driver takes what has arrived, lets the program
 * step, and issues what is due, until nothing is left to do; then the next read to arrive brings the
 * next driver. With one read at a time that is simply whoever has it. With more, reads that arrive
 * while somebody drives queue up in the traversal's events, and the driver leaves only when these
 * are empty.
 */
#ifndef EXO_DRIVE_H
#define EXO_DRIVE_H

#include <linux/types.h>

struct exo_read;
struct exo_stay;
struct exo_traversal;

/* Where the driver runs. */
enum exo_context {
	EXO_CONTEXT_CALLER,		/* a call that waits for this traversal and no other */
	EXO_CONTEXT_SUBMITTER,		/* a task that has other traversals to start */
	EXO_CONTEXT_COMPLETION,		/* the driver's completion, whatever context that is */
	EXO_CONTEXT_WORKER,
	EXO_CONTEXT_POLLER,		/* of a polled traversal, from beginning to end */
};

/* Who drives a traversal of EXO_ENGINE_DISPATCH whose read has arrived. */
enum exo_dispatcher {
	EXO_DISPATCHER_WORKER,
	EXO_DISPATCHER_CALLER,		/* it sleeps on done, and is to be woken */
	EXO_DISPATCHER_WOKEN,		/* it has been */
};

void exo_drive_init(struct exo_traversal *t);
void exo_drive_start(struct exo_traversal *t, enum exo_context context);
void exo_drive_arrived(struct exo_read *read);
void exo_drive_on(struct exo_traversal *t, const struct exo_stay *stay);
void exo_drive_poll(struct exo_traversal *t);
void exo_drive_resume(struct exo_traversal *t);
bool exo_drive_give_up(struct exo_traversal *t);

#endif /* EXO_DRIVE_H */
