/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The order of turns: start-time fair queueing in two levels, tenants by their weight and the grants
 * of one tenant by theirs (fair.h says after whom). A turn's start is when, in virtual time, all that
 * its grant was given before would be over; a tenant's is that of its first turn in line.
 *
 * Context: all under fair->lock.
 */
#ifndef EXO_TURNS_H
#define EXO_TURNS_H

#include <linux/types.h>

struct exo_fair;
struct exo_tenant;
struct exo_turn;

/* Of all that have turns in line, or NULL. */
struct exo_tenant *exo_turns_first_tenant(const struct exo_fair *fair);
/* Of a tenant that has turns in line. */
struct exo_turn *exo_turns_first(const struct exo_tenant *tenant);
u64 exo_turns_start_of_tenant(const struct exo_fair *fair, const struct exo_tenant *tenant);

/* Sets when it starts among the turns of its tenant, and charges its grant. */
void exo_turns_set_start(struct exo_turn *turn);
void exo_turns_line_up(struct exo_fair *fair, struct exo_turn *turn);
/* Its turn has come. */
void exo_turns_leave_line(struct exo_fair *fair, struct exo_turn *turn);
/* It does not want it any more, and what it would have had is nobody's debt. */
void exo_turns_withdraw(struct exo_fair *fair, struct exo_turn *turn);
/* Moves the clocks on for a turn that is given, and not in line any more; @start: of its tenant. */
void exo_turns_advance(struct exo_fair *fair, const struct exo_turn *turn, u64 start);

/* Whether a tenant that has nothing in line is behind all that have. */
bool exo_turns_is_behind(const struct exo_fair *fair, const struct exo_tenant *tenant);
/* Whether a turn that is not in line would be the next one of all. */
bool exo_turns_would_be_next(const struct exo_fair *fair, const struct exo_turn *turn);

#endif /* EXO_TURNS_H */
