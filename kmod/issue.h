/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gets reads to the device, by whichever engine the traversal has, and hears of their completion.
 * request.h and submit.h are the engines.
 */
#ifndef EXO_ISSUE_H
#define EXO_ISSUE_H

#include <linux/exo.h>

#include "drive.h"

struct exo_read;
struct exo_traversal;

enum exo_issue_result {
	EXO_ISSUE_GONE,			/* in flight; it now belongs to its completion */
	EXO_ISSUE_ARRIVED,		/* completed already; the caller goes on */
	EXO_ISSUE_DEFER,		/* not issued: cannot be here, a worker must */
	EXO_ISSUE_BUSY,			/* not issued: no room now; no request is held */
	EXO_ISSUE_FAILED,		/* not issued: the traversal ends */
};

enum exo_issue_result exo_issue(struct exo_read *read, enum exo_context context);
void exo_issue_idle(struct exo_read *read);
void exo_issue_end(struct exo_read *read);

/* For the engines. */
void exo_issue_hand_over(struct exo_read *read);
enum exo_issue_result exo_issue_handed_over(struct exo_read *read);
enum exo_issue_result exo_issue_failed(struct exo_read *read, enum exo_end cause, int error);
void exo_issue_done(struct exo_read *read);

#endif /* EXO_ISSUE_H */
