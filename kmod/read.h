/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One read of a traversal: what the program asked for, where that lies, and how it is coming along.
 * A traversal has as many as its fan-out says, each with its own buffer, and uses them again and
 * again. Where they lie is found here; issue.c and submit.c get them to the device.
 */
#ifndef EXO_READ_H
#define EXO_READ_H

#include <linux/bio.h>
#include <linux/blk_types.h>
#include <linux/bvec.h>
#include <linux/llist.h>

#include <linux/exo.h>

#include "fair.h"

struct exo_grant;
struct exo_traversal;
struct exo_volume;
struct request;

/*
 * Between the issuer and the completion, which may come on another CPU before the driver has
 * returned to the issuer, or inside that very call: whoever comes second goes on with the read.
 */
enum exo_phase {
	EXO_PHASE_OWNED,		/* not in flight */
	EXO_PHASE_ISSUING,		/* handed to the driver, which has not returned yet */
	EXO_PHASE_ISSUED,		/* the completion goes on */
	EXO_PHASE_ARRIVED,		/* the issuer (or poller) goes on */
};

struct exo_read {
	struct exo_traversal *traversal;
	u8 *buffer;			/* hop_bytes, zeroed at first */
	u32 index;			/* among the traversal's reads */

	/* As the program asked for it. */
	u32 slot;
	u32 len;
	u64 offset;			/* in the file of that slot */
	u64 tag;

	/*
	 * The logical blocks that it touches fill the buffer from its beginning, piece by piece
	 * where they do not follow each other on the device.
	 */
	struct exo_grant *grant;	/* of the slot; entered by the traversal */
	struct exo_volume *volume;	/* alive while the grant has something in flight */
	u64 window_start;		/* in the file */
	u32 window_len;
	u32 piece_at;			/* in the buffer */
	u32 piece_len;
	u64 disk_offset;		/* of the piece, on the volume */
	bool whole;			/* one piece, within the file; plain traversals only */
	bool hole;			/* the piece lies in one */
	bool cached;			/* all of the read was in the node cache */
	bool read_device;		/* a piece of it came from the device */

	struct exo_turn turn;		/* of the piece that is due, or whose turn it was */
	bool waits;			/* for its turn; due again when that is given */

	/* Of the piece that is due, in flight or has arrived. */
	bool fresh;			/* request has not completed yet */
	bool driver_preps;		/* the driver marks its requests with RQF_DONTPREP */
	bool waiting;			/* counted in volume->fair->wanting */
	blk_status_t status;
	u32 holes_in_a_row;
	atomic_t phase;			/* enum exo_phase */
	struct request *request;	/* kept from piece to piece; NULL = none */
	struct bio bio;
	struct bio_vec bvec;
	struct llist_node arrived_entry;	/* in the traversal's list */
};

enum exo_end exo_read_place(struct exo_read *read);
void exo_read_next_piece(struct exo_read *read);

#endif /* EXO_READ_H */
