/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads on the device's own queue, for EXO_ENGINE_COMPLETION and _POLLED. One blk-mq request serves
 * one read after the other and is issued again from wherever its completion is handled, if that is
 * safe there; else a worker does it.
 */
#ifndef EXO_REQUEST_H
#define EXO_REQUEST_H

#include <linux/compiler.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#include "issue.h"

struct exo_read;
struct exo_traversal;
struct exo_volume;
struct request_queue;

enum { EXO_DIRECT_NEVER, EXO_DIRECT_SAFE, EXO_DIRECT_FORCED };

extern unsigned int exo_direct_issue;	/* module parameter */

/**
 * exo_request_direct_allowed() - whether kernel and administrator allow direct reissue at all
 *
 * Lockdep knows lock classes used in and out of interrupts, but not our argument (reissue.h), and would
 * report a driver's submission lock. Without a preemption count there is no argument.
 */
static inline bool exo_request_direct_allowed(void)
{
	unsigned int mode = READ_ONCE(exo_direct_issue);

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !IS_ENABLED(CONFIG_PREEMPT_COUNT))
		return false;
	return mode >= (IS_ENABLED(CONFIG_PROVE_LOCKING) ? EXO_DIRECT_FORCED :
							   EXO_DIRECT_SAFE);
}

enum exo_issue_result exo_request_issue(struct exo_read *read, enum exo_context context);
void exo_request_hole(struct exo_read *read);
void exo_request_release(struct exo_read *read);
void exo_request_end(struct exo_read *read);
void exo_request_poll(struct exo_traversal *t);
void exo_request_blame_driver(struct exo_volume *volume);
bool exo_request_volume_direct(const struct request_queue *queue);
bool exo_request_needs_budget(const struct request_queue *queue);

#endif /* EXO_REQUEST_H */
