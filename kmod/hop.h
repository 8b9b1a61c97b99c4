/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hop that nearly all hops are, in one go: a traversal of one read at a time has its block, its
 * program asks for the next one in the same file, that lies in one extent, and the read's request
 * can be issued again. What traversal.c, read.c, issue.c and request.c do then is done here in their
 * order, at a fraction of the instructions; the first thing that is out of the ordinary is left to
 * them. What is known of a traversal before it starts stands in its plain.
 */
#ifndef EXO_HOP_H
#define EXO_HOP_H

#include <linux/types.h>

struct exo_read;

enum exo_hop_result {
	EXO_HOP_OTHER,			/* not such a hop; nothing has been done */
	EXO_HOP_GONE,			/* the next read is in flight; only a poller may touch it */
	EXO_HOP_TAKEN,			/* the block has been; the driver goes on from there */
};

bool exo_hop_in_interrupt(struct exo_read *read);
enum exo_hop_result exo_hop_polled(struct exo_read *read);

#endif /* EXO_HOP_H */
