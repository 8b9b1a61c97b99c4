/* SPDX-License-Identifier: GPL-2.0-only */
/* The file over a grant: passing it on is passing the right on. */
#ifndef EXO_GRANT_FD_H
#define EXO_GRANT_FD_H

#include <linux/fs.h>
#include <linux/poll.h>

struct exo_grant;

extern const struct file_operations exo_grant_fops;

__poll_t exo_grant_poll(const struct exo_grant *grant, struct file *file, poll_table *wait);

#endif /* EXO_GRANT_FD_H */
