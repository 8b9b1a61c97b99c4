// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way of a read to its engine and back. What an engine does to the device is its own; here are
 * the checks and counts that all share, and the hand-over between issuer and completion.
 */
#include <linux/blkdev.h>

#include "drive.h"
#include "fair.h"
#include "issue.h"
#include "reissue.h"
#include "request.h"
#include "submit.h"
#include "traversal.h"
#include "volume.h"

/* ---- issue ---- */

enum exo_issue_result exo_issue_failed(struct exo_read *r, enum exo_end cause, int error)
{
	if (cause == EXO_END_IO)
		error = exo_volume_error(r->volume, error);
	exo_traversal_fail(r->traversal, cause, error);
	return EXO_ISSUE_FAILED;
}

static u32 *counter(struct exo_traversal *t, enum exo_context context)
{
	if (!t->first)
		return &t->first;
	if (t->engine == EXO_ENGINE_DISPATCH)
		return &t->dispatched;
	switch (context) {
	case EXO_CONTEXT_WORKER:
		return &t->deferred;
	case EXO_CONTEXT_POLLER:
		return &t->poll_issued;
	default:
		return &t->direct;
	}
}

/*
 * The block layer checks what it is given by EXO_ENGINE_DISPATCH itself, and splits bios. It would
 * tell the log of each that comes when the device has gone.
 */
static bool in_bounds(const struct exo_read *r)
{
	if (r->traversal->engine == EXO_ENGINE_DISPATCH)
		return !exo_volume_is_dead(r->volume);
	return exo_reissue_in_bounds(r->volume, r->disk_offset, r->piece_len);
}

/*
 * It is not the read's turn, or is it? While it waits it keeps nothing that others could use, and
 * counts as in flight: exo_fair_go() makes it an event, after which it is due again.
 */
static enum exo_issue_result wait_for_turn(struct exo_read *r)
{
	enum exo_end stop = exo_traversal_stopped(r->traversal);

	if (stop != EXO_END_DONE)
		return exo_issue_failed(r, stop, 0);
	exo_request_release(r);
	r->waits = true;
	if (!exo_fair_wait(&r->turn))
		return EXO_ISSUE_GONE;
	r->waits = false;
	return EXO_ISSUE_ARRIVED;
}

/**
 * exo_issue() - read the piece that is due, or answer it if it lies in a hole
 * @r: of a traversal that the caller drives, not in flight
 * @context: of the caller
 *
 * Context: as @context says; sleeps only where the driver's queue_rq() or submit_bio() does.
 * Return: with EXO_ISSUE_GONE neither the read nor, if it has no other, its traversal may be touched
 * any more, except by a poller.
 */
enum exo_issue_result exo_issue(struct exo_read *r, enum exo_context context)
{
	struct exo_traversal *t = r->traversal;
	enum exo_issue_result result;
	u32 *count;

	if (r->hole || r->cached) {
		exo_fair_done(&r->turn);
		exo_request_hole(r);
		if (!r->cached)
			memset(r->buffer + r->piece_at, 0, r->piece_len);
		r->status = BLK_STS_OK;
		return EXO_ISSUE_ARRIVED;
	}
	r->holes_in_a_row = 0;
	if (!in_bounds(r))
		return exo_issue_failed(r, EXO_END_IO, -EIO);
	/* A set's reads of other volumes go without: they are counted where the lock is. */
	if (t->backlog && !r->turn.tries)
		r->turn.backlog = t->backlog->volume == r->volume ? t->backlog : NULL;
	if (!exo_fair_ask(&r->turn, r->volume->fair, r->grant, r->piece_len)) {
		result = wait_for_turn(r);
		if (result != EXO_ISSUE_ARRIVED)
			return result;
	}

	/* Counted before, since afterwards the traversal may be gone. */
	count = counter(t, context);
	++*count;
	result = t->engine == EXO_ENGINE_DISPATCH ? exo_submit(r) : exo_request_issue(r, context);
	if (result == EXO_ISSUE_DEFER || result == EXO_ISSUE_BUSY || result == EXO_ISSUE_FAILED)
		--*count;
	if (result == EXO_ISSUE_BUSY)
		exo_fair_again(&r->turn);
	return result;
}

/**
 * exo_issue_idle() - the read is not needed at the moment, while others of its traversal go on
 * @r: not in flight; the caller drives its traversal, or is its completion
 *
 * It must not keep what others may be waiting for.
 *
 * Context: any in which a completion runs.
 */
void exo_issue_idle(struct exo_read *r)
{
	exo_fair_done(&r->turn);
	exo_request_release(r);
}

/**
 * exo_issue_end() - the traversal reads no more
 * @r: of a traversal that the caller drives, not in flight
 *
 * Context: any in which a completion runs.
 */
void exo_issue_end(struct exo_read *r)
{
	exo_fair_done(&r->turn);
	exo_request_end(r);
	bio_uninit(&r->bio);
}
