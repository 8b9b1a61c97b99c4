/* SPDX-License-Identifier: GPL-2.0-only */
/* Traversals through io_uring; never called where the kernel has none. */
#ifndef EXO_TRAVERSE_URING_H
#define EXO_TRAVERSE_URING_H

#include <linux/fs.h>

struct io_comp_batch;
struct io_uring_cmd;

int exo_traverse_uring(struct io_uring_cmd *cmd, unsigned int issue_flags);
int exo_traverse_uring_poll(struct io_uring_cmd *cmd, struct io_comp_batch *batch,
			    unsigned int poll_flags);

#endif /* EXO_TRAVERSE_URING_H */
