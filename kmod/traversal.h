/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One traversal: read, step, check, read again, until its program or one of the limits ends it.
 * How a caller's request becomes one, and how its results get back, is traverse.h's.
 *
 * Ownership: exactly one context at a time drives a traversal (see issue.h for how it is handed
 * over), and only that context touches it. Two references: the caller's, who waits and copies the
 * result out, and the engine's, dropped at the end. A killed caller may leave first.
 */
#ifndef EXO_TRAVERSAL_H
#define EXO_TRAVERSAL_H

#include <linux/bio.h>
#include <linux/blk_types.h>
#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/llist.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

#include <linux/exo.h>

#include "audit.h"
#include "issue.h"
#include "program_ops.h"

struct exo_grant;
struct exo_volume;
struct request;

struct exo_traversal {
	struct exo_hop_context context;	/* its hop is all that the program sees directly */

	/* Constant from the start. */
	struct exo_grant *grant;	/* holds a reference */
	struct exo_volume *volume;	/* alive while the grant has something in flight */
	struct exo_program *program;	/* holds a reference until the end */
	u8 *buffer;			/* hop_bytes, zeroed at first */
	u8 *args;
	u8 *result;
	u8 *blocks;			/* copies of blocks, as record says */
	void *area;			/* memory of result, args and blocks */
	u32 record;			/* EXO_TRAVERSE_LAST_BLOCK or _ALL_BLOCKS, or 0 */
	u32 program_id;
	u32 hop_bytes;
	u32 hop_limit;
	u32 args_len;
	u32 result_len;
	u32 blocks_room;
	bool polled;			/* its caller looks for its completions: exo_traversal_poll() */
	unsigned long deadline;		/* jiffies */
	bool grant_expires;		/* deadline is the grant's, not the caller's */
	u64 started_ns;

	/* The block at hand, and the read that is due or in flight. */
	const u8 *block;		/* in buffer */
	u32 block_len;			/* bytes of block that are valid; 0 = none arrived */
	u32 len;			/* of the read, as the program asked for it */
	u64 offset;			/* of it, in the file */

	/*
	 * The logical blocks that the read touches fill the buffer from its beginning, piece by
	 * piece where they do not follow each other on the device.
	 */
	u64 window_start;		/* in the file */
	u32 window_len;
	u32 piece_at;			/* in the buffer */
	u32 piece_len;
	u64 disk_offset;		/* of the piece, on the volume */
	bool hole;			/* the piece lies in one */
	bool read_device;		/* a piece of this read did not */

	bool wish;			/* exo_read() was called */
	u32 wish_len;
	u64 wish_offset;

	/* The engine's (issue.c). */
	atomic_t phase;			/* enum exo_phase */
	blk_status_t status;		/* of the read that arrived */
	struct request *request;	/* kept from hop to hop; NULL = none yet, or given back */
	u32 holes_in_a_row;
	bool waiting;			/* counted in volume->waiting */
	bool fresh;			/* request has not completed yet */
	bool driver_preps;		/* the driver marks its requests with RQF_DONTPREP */
	struct bio bio;
	struct bio_vec bvec;
	struct work_struct work;
	bool arrived;			/* for the worker: step a block; else issue the read */
	u32 pause_us;			/* before the next try to find room for the read */
	struct hrtimer retry;		/* queues work after it */
	u64 stalled_until_ns;		/* for a poller, in EXO_PHASE_STALLED */

	/* Outcome. */
	bool finishing;			/* the program's finish runs */
	bool ended;			/* for a polling caller */
	bool ran;			/* so there is an end to tell of */
	enum exo_end cause;
	int error;
	u32 result_valid;
	u64 value;
	u32 hops;
	u32 first;
	u32 direct;
	u32 deferred;
	u32 poll_issued;
	u32 holes;
	u32 blocks_len;			/* bytes used in blocks */
	u32 blocks_recorded;
	u64 bytes;
	u64 elapsed_ns;

	/* The caller's (traverse.c and those that start traversals). */
	bool cancel;			/* end at the next completion; set at any time */
	struct exo_actor actor;		/* set by a caller that leaves early, or after a failure */
	void (*on_end)(struct exo_traversal *t);	/* in any context; the outcome stands in t */
	void *owner;			/* whom on_end tells, if not who waits for done */
	struct completion done;
	u32 index;			/* in owner's batch */
	struct llist_node ended_entry;
	u64 user_result;
	u64 user_blocks;
	refcount_t refs;
};

void exo_traversal_init(struct exo_traversal *t);
void exo_traversal_start(struct exo_traversal *t, enum exo_context context);
void exo_traversal_run(struct exo_traversal *t, enum exo_context context, bool arrived);
void exo_traversal_arrived(struct exo_traversal *t);
void exo_traversal_poll(struct exo_traversal *t);
int exo_workers_init(void);
void exo_workers_exit(void);

#endif /* EXO_TRAVERSAL_H */
