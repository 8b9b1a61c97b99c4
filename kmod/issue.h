/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads on the device's own queue. One blk-mq request serves a whole traversal and is issued again
 * from wherever its completion is handled, if that is safe there; else a worker does it.
 */
#ifndef EXO_ISSUE_H
#define EXO_ISSUE_H

#include <linux/types.h>

struct exo_traversal;
struct request_queue;

/* Who drives a traversal right now. */
enum exo_context {
	EXO_CONTEXT_CALLER,		/* a call that waits, until its first read is in flight */
	EXO_CONTEXT_SUBMITTER,		/* the same, but it has other traversals to start */
	EXO_CONTEXT_COMPLETION,		/* the driver's completion, whatever context that is */
	EXO_CONTEXT_WORKER,
	EXO_CONTEXT_POLLER,		/* of a polled traversal, from beginning to end */
};

/*
 * Between the issuer and the completion, which may come on another CPU before the driver has
 * returned to the issuer, or inside that very call: whoever comes second goes on with the
 * traversal.
 */
enum exo_phase {
	EXO_PHASE_OWNED,		/* no read in flight */
	EXO_PHASE_ISSUING,		/* handed to the driver, which has not returned yet */
	EXO_PHASE_ISSUED,		/* the completion goes on */
	EXO_PHASE_ARRIVED,		/* the issuer (or poller) goes on */
	EXO_PHASE_STALLED,		/* no room for the read that is due; the poller tries again */
};

enum exo_issue_result {
	EXO_ISSUE_GONE,			/* in flight; the traversal now belongs to its completion */
	EXO_ISSUE_ARRIVED,		/* completed already; the caller goes on */
	EXO_ISSUE_DEFER,		/* not issued: cannot be here, a worker must */
	EXO_ISSUE_BUSY,			/* not issued: no room now; no request is held */
	EXO_ISSUE_FAILED,		/* not issued: t->cause and t->error say why */
};

enum exo_issue_result exo_issue(struct exo_traversal *t, enum exo_context context);
void exo_issue_hole(struct exo_traversal *t);
void exo_issue_end(struct exo_traversal *t);
void exo_issue_poll(struct exo_traversal *t);
bool exo_issue_direct_allowed(void);
bool exo_issue_volume_direct(const struct request_queue *queue);

#endif /* EXO_ISSUE_H */
