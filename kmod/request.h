/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads on the device's own queue, for EXO_ENGINE_COMPLETION and _POLLED. One blk-mq request serves
 * one read after the other and is issued again from wherever its completion is handled, if that is
 * safe there; else a worker does it.
 */
#ifndef EXO_REQUEST_H
#define EXO_REQUEST_H

#include <linux/types.h>

#include "issue.h"

struct exo_read;
struct exo_traversal;
struct request_queue;

enum exo_issue_result exo_request_issue(struct exo_read *read, enum exo_context context);
void exo_request_hole(struct exo_read *read);
void exo_request_release(struct exo_read *read);
void exo_request_end(struct exo_read *read);
void exo_request_poll(struct exo_traversal *t);
bool exo_request_direct_allowed(void);
bool exo_request_volume_direct(const struct request_queue *queue);

#endif /* EXO_REQUEST_H */
