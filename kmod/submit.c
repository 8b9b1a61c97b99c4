// SPDX-License-Identifier: GPL-2.0-only
/* Reads as bios. Who submits them is drive.c's; they are never submitted where one completes. */
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/module.h>

#include "issue.h"
#include "submit.h"
#include "traversal.h"
#include "volume.h"

static bool cgroup_io = true;
module_param(cgroup_io, bool, 0644);
MODULE_PARM_DESC(cgroup_io,
		 "Whether traversals of a cgroup with the io controller are dispatched as bios, so that it accounts and limits them (default yes)");

/**
 * exo_submit_needed() - whether the block layer must see each read of the current task as a bio
 *
 * That is where accounting and limits of the io controller are; requests go around them. A task in a
 * cgroup without that controller belongs to the nearest ancestor that has it, mostly the root.
 *
 * Context: process.
 */
bool exo_submit_needed(void)
{
#ifdef CONFIG_BLK_CGROUP
	bool needed;

	if (!READ_ONCE(cgroup_io))
		return false;
	rcu_read_lock();
	needed = task_css(current, io_cgrp_id) != blkcg_root_css;
	rcu_read_unlock();
	return needed;
#else
	return false;
#endif
}

/**
 * exo_submit_origin() - note whom the reads of a traversal belong to
 * @origin: filled; to be given back with bio_uninit()
 * @volume: that it starts on
 *
 * Context: process; the current one is the owner.
 */
void exo_submit_origin(struct bio *origin, const struct exo_volume *volume)
{
	bio_init(origin, volume->bdev, NULL, 0, REQ_OP_READ);
}

static void bio_done(struct bio *bio)
{
	struct exo_read *r = bio->bi_private;

	r->status = bio->bi_status;
	exo_issue_done(r);
}

/**
 * exo_submit() - read the piece that is due as a bio
 * @r: of a traversal that the caller drives, not in flight
 *
 * Context: process; sleeps where the block layer has no room.
 * Return: EXO_ISSUE_GONE or EXO_ISSUE_ARRIVED.
 */
enum exo_issue_result exo_submit(struct exo_read *r)
{
	struct exo_volume *volume = r->volume;
	u8 *to = r->buffer + r->piece_at;
	struct bio *bio = &r->bio;

	bio_uninit(bio);
	bio_init(bio, NULL, &r->bvec, 1, REQ_OP_READ);
	/* Sets the device, too; a set's slots may be on several. */
	bio->bi_bdev = volume->bdev;
	bio_clone_blkg_association(bio, &r->traversal->origin);
	__bio_add_page(bio, virt_to_page(to), r->piece_len, offset_in_page(to));
	bio->bi_iter.bi_sector = r->disk_offset >> SECTOR_SHIFT;
	bio->bi_end_io = bio_done;
	bio->bi_private = r;

	exo_issue_hand_over(r);
	/* The task is told of its reads at the end; this one may be a worker. */
	submit_bio_noacct(bio);
	/* Until the hand-over is over the read is still ours. */
	if (r->turn.backlog)
		exo_fair_submitted(&r->turn, atomic_read(&r->phase) == EXO_PHASE_ISSUING &&
						     exo_backlog_holds(bio));
	return exo_issue_handed_over(r);
}
