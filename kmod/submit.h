/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads as bios, for EXO_ENGINE_DISPATCH: through all of the block layer, so on any device and with
 * its limits for the caller's cgroup, but from a task only.
 */
#ifndef EXO_SUBMIT_H
#define EXO_SUBMIT_H

#include "issue.h"

struct bio;
struct exo_read;
struct exo_traversal;
struct exo_volume;

bool exo_submit_needed(void);
void exo_submit_origin(struct bio *origin, const struct exo_volume *volume);
enum exo_issue_result exo_submit(struct exo_read *read);

#endif /* EXO_SUBMIT_H */
