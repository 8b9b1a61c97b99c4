// SPDX-License-Identifier: GPL-2.0-only
/* Counts reads that are held back, and keeps the turns of those that wait for them. See backlog.h. */
#include <linux/blk-cgroup.h>
#include <linux/blk_types.h>
#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "backlog.h"
#include "fair.h"
#include "limits.h"
#include "volume.h"

/* ---- lifetime ---- */

static DEFINE_SPINLOCK(backlogs_lock);	/* guards backlogs and their users */
static DEFINE_HASHTABLE(backlogs, 6);

static struct exo_backlog *find(const struct exo_volume *volume,
				const struct cgroup_subsys_state *css)
{
	struct exo_backlog *backlog;

	lockdep_assert_held(&backlogs_lock);
	hash_for_each_possible(backlogs, backlog, entry, (unsigned long)css) {
		if (backlog->css == css && backlog->volume == volume) {
			backlog->users++;
			return backlog;
		}
	}
	return NULL;
}

/**
 * exo_backlog_get() - what is held back of a traversal's cgroup
 * @volume: that it begins on; outlives it
 * @origin: whom its bios belong to
 *
 * Context: process, may sleep.
 * Return: to be given back with exo_backlog_put(); NULL if nothing limits the cgroup, as the root;
 * or -ENOMEM.
 */
struct exo_backlog *exo_backlog_get(struct exo_volume *volume, struct bio *origin)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(origin);
	struct exo_backlog *backlog, *made;

	if (!css || css == blkcg_root_css)
		return NULL;
	spin_lock(&backlogs_lock);
	backlog = find(volume, css);
	spin_unlock(&backlogs_lock);
	if (backlog)
		return backlog;

	made = kzalloc(sizeof(*made), GFP_KERNEL_ACCOUNT);
	if (!made)
		return ERR_PTR(-ENOMEM);
	made->volume = volume;
	made->css = css;
	made->users = 1;
	INIT_LIST_HEAD(&made->parked);
	spin_lock(&backlogs_lock);
	backlog = find(volume, css);
	if (!backlog) {
		css_get(css);
		hash_add(backlogs, &made->entry, (unsigned long)css);
		swap(backlog, made);
	}
	spin_unlock(&backlogs_lock);
	kfree(made);
	return backlog;
}

/**
 * exo_backlog_put() - one traversal less
 * @backlog: as exo_backlog_get() gave it, or NULL
 *
 * Context: process.
 */
void exo_backlog_put(struct exo_backlog *backlog)
{
	bool last = false;

	if (!backlog)
		return;
	spin_lock(&backlogs_lock);
	last = !--backlog->users;
	if (last)
		hash_del(&backlog->entry);
	spin_unlock(&backlogs_lock);
	if (!last)
		return;
	css_put(backlog->css);
	kfree(backlog);
}

/* ---- reads ---- */

/**
 * exo_backlog_holds() - whether the block layer has put a bio aside
 * @bio: submitted, and its completion has not gone on
 *
 * All that it lets through it marks to be traced at completion, right behind its limits. One that is
 * completing just now has lost the mark, and counts as held back until its completion goes on.
 *
 * Context: process.
 */
bool exo_backlog_holds(const struct bio *bio)
{
	return !(READ_ONCE(bio->bi_flags) & BIT(BIO_TRACE_COMPLETION));
}

/* What follows is called with volume->fair->lock held, for turns that have a backlog. */

/* Whether a turn may go on to its line; if so it counts, until it is known what becomes of it. */
bool exo_backlog_enter(struct exo_turn *turn)
{
	struct exo_backlog *backlog = turn->backlog;

	if (turn->tries || !backlog->limited)
		return true;
	if (backlog->held + backlog->trying >= backlog->window)
		return false;
	turn->tries = true;
	backlog->trying++;
	return true;
}

void exo_backlog_park(struct exo_turn *turn)
{
	turn->parked = true;
	list_add_tail(&turn->rate_entry, &turn->backlog->parked);
}

void exo_backlog_unpark(struct exo_turn *turn)
{
	turn->parked = false;
	list_del(&turn->rate_entry);
}

/* Ends the limit when there is nothing left of what it was for. */
static void look_at_limit(struct exo_backlog *backlog)
{
	if (!backlog->held && !backlog->trying && list_empty(&backlog->parked))
		WRITE_ONCE(backlog->limited, false);
}

/* Takes out the next one that may go on, or NULL. */
struct exo_turn *exo_backlog_next(struct exo_backlog *backlog)
{
	struct exo_turn *turn;

	turn = list_first_entry_or_null(&backlog->parked, struct exo_turn, rate_entry);
	if (!turn) {
		look_at_limit(backlog);
		return NULL;
	}
	if (!exo_backlog_enter(turn))
		return NULL;
	exo_backlog_unpark(turn);
	return turn;
}

/* The block layer has been given the read. */
void exo_backlog_tried(struct exo_turn *turn, bool held)
{
	struct exo_backlog *backlog = turn->backlog;

	if (turn->tries) {
		turn->tries = false;
		backlog->trying--;
		if (!held)
			backlog->window = min(backlog->window + 1, EXO_BACKLOG_MOST);
	}
	if (held) {
		turn->held = true;
		backlog->held++;
		backlog->window = 1;
		WRITE_ONCE(backlog->limited, true);
	}
}

/* A read that was held back has completed, or one that was to be tried is not made. */
void exo_backlog_leave(struct exo_turn *turn)
{
	struct exo_backlog *backlog = turn->backlog;

	if (turn->held)
		backlog->held--;
	if (turn->tries)
		backlog->trying--;
	turn->held = false;
	turn->tries = false;
}
