/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a caller's request to a traversal, and from its end to the caller's memory. Who waits, and
 * how, is left to those that start traversals: traverse_calls.c and traverse_uring.c.
 */
#ifndef EXO_TRAVERSE_H
#define EXO_TRAVERSE_H

#include <linux/exo.h>

struct exo_traversal;
struct file;

struct exo_traversal *exo_traverse_prepare(struct file *file, const struct exo_traverse *arg);
void exo_traverse_outcome(const struct exo_traversal *t, struct exo_outcome *outcome);
int exo_traverse_copy_out(const struct exo_traversal *t, struct exo_outcome *outcome);
void exo_traverse_put(struct exo_traversal *t, bool ended);
void exo_traverse_free(struct exo_traversal *t);
int exo_traverse_init(void);
void exo_traverse_exit(void);

#endif /* EXO_TRAVERSE_H */
