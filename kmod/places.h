/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Places in service: how many reads a disk works on at once while tenants share it, and which of them
 * are kept for an instant for a tenant that is behind (fair.h says why).
 *
 * Context: all under fair->lock.
 */
#ifndef EXO_PLACES_H
#define EXO_PLACES_H

#include <linux/ktime.h>
#include <linux/types.h>

struct exo_fair;
struct exo_tenant;
struct exo_turn;

u32 exo_places_depth(const struct exo_fair *fair);
/* Whether a turn that is not in line may be given at once. */
bool exo_places_has_room(const struct exo_fair *fair, const struct exo_turn *turn);
/* Gives a turn, which is not in line, and a place with it while places count. */
void exo_places_give(struct exo_fair *fair, struct exo_turn *turn);
void exo_places_give_up(struct exo_fair *fair, struct exo_turn *turn);

/* That of a read that has completed stays its tenant's, if others would take it for good. */
void exo_places_keep(struct exo_fair *fair, struct exo_turn *turn);
void exo_places_keep_none(struct exo_fair *fair, struct exo_tenant *tenant);
void exo_places_end_keeping(struct exo_fair *fair, ktime_t now);

#endif /* EXO_PLACES_H */
