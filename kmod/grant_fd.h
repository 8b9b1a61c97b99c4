/* SPDX-License-Identifier: GPL-2.0-only */
/* The file over a grant: passing it on is passing the right on. */
#ifndef EXO_GRANT_FD_H
#define EXO_GRANT_FD_H

#include <linux/fs.h>

extern const struct file_operations exo_grant_fops;

#endif /* EXO_GRANT_FD_H */
