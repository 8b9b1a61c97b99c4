/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gets reads to the device, by whichever engine the traversal has, and hears of their completion.
 * request.h and submit.h are the engines.
 */
#ifndef EXO_ISSUE_H
#define EXO_ISSUE_H

#include <linux/atomic.h>

#include <linux/exo.h>

#include "drive.h"
#include "hop.h"
#include "read.h"
#include "traversal.h"

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
enum exo_issue_result exo_issue_failed(struct exo_read *read, enum exo_end cause, int error);

/**
 * exo_issue_hand_over() - the next call gives the read to the device
 * @r: of a traversal that the caller drives
 *
 * Afterwards it may belong to its completion, unless exo_issue_handed_over() says otherwise.
 */
static inline void exo_issue_hand_over(struct exo_read *r)
{
	atomic_set(&r->phase, exo_traversal_polled(r->traversal) ? EXO_PHASE_ISSUED :
								    EXO_PHASE_ISSUING);
}

/**
 * exo_issue_handed_over() - the call has returned, and the device has taken the read
 * @r: on which its completion has not gone on before this
 */
static inline enum exo_issue_result exo_issue_handed_over(struct exo_read *r)
{
	/* A poller drives its traversal to the end, so it may look at it at any time. */
	if (exo_traversal_polled(r->traversal) ||
	    atomic_cmpxchg(&r->phase, EXO_PHASE_ISSUING, EXO_PHASE_ISSUED) == EXO_PHASE_ISSUING)
		return EXO_ISSUE_GONE;
	/* A failed exchange orders nothing by itself; what the completion wrote must be seen. */
	smp_acquire__after_ctrl_dep();
	atomic_set(&r->phase, EXO_PHASE_OWNED);
	return EXO_ISSUE_ARRIVED;
}

/**
 * exo_issue_done() - the device has completed the read; its status stands
 * @r: must not be touched afterwards
 *
 * Context: the completion's, whatever that is.
 */
static inline void exo_issue_done(struct exo_read *r)
{
	int phase;

	if (exo_traversal_polled(r->traversal)) {
		/* The poller goes on, outside of the driver's poll function and its locks. */
		atomic_set_release(&r->phase, EXO_PHASE_ARRIVED);
		return;
	}
	phase = atomic_cmpxchg(&r->phase, EXO_PHASE_ISSUING, EXO_PHASE_ARRIVED);
	/* Nobody may complete what is not in flight. */
	if (phase == EXO_PHASE_ISSUING || WARN_ON_ONCE(phase != EXO_PHASE_ISSUED))
		return;
	/* A failed exchange orders nothing by itself; what the issuer wrote must be seen. */
	smp_acquire__after_ctrl_dep();
	if (!exo_hop_in_interrupt(r))
		exo_drive_arrived(r);
}

#endif /* EXO_ISSUE_H */
