/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What exo_floor.c and the benchmark that drives it say to each other. */
#ifndef EXO_FLOOR_H
#define EXO_FLOOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FLOOR_PATH	"/dev/exo_floor"

/*
 * Reads depth blocks, the first at offset 0 and each next one where the first eight bytes of the
 * last one say. Returns 0 or a negative errno.
 */
struct floor_chain {
	__s32 device_fd;
	__u32 depth;
	__u32 block_bytes;
	__u32 polled;			/* by the caller; else reissued in the completion */
	__u32 by_block_layer;		/* reissued through it, not by the driver's queue_rq() */
	__u32 reserved;
};

#define FLOOR_CHAIN	_IOW('F', 1, struct floor_chain)

#endif /* EXO_FLOOR_H */
