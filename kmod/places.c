// SPDX-License-Identifier: GPL-2.0-only
/* Places in service; see places.h. */
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/minmax.h>

#include "fair.h"
#include "limits.h"
#include "places.h"
#include "turns.h"

u32 exo_places_depth(const struct exo_fair *fair)
{
	return min(exo_limit(fair_depth), fair->most);
}

void exo_places_give_up(struct exo_fair *fair, struct exo_turn *turn)
{
	if (!turn->placed)
		return;
	turn->placed = false;
	turn->grant->tenant->placed--;
	fair->in_service--;
}

static void keep_one_less(struct exo_fair *fair, struct exo_tenant *tenant)
{
	fair->kept--;
	if (!--tenant->kept)
		list_del_init(&tenant->keep_entry);
}

static void take_place(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	if (turn->placed)
		return;
	turn->placed = true;
	tenant->placed++;
	if (tenant->kept)
		keep_one_less(fair, tenant);
	else
		fair->in_service++;
}

void exo_places_keep_none(struct exo_fair *fair, struct exo_tenant *tenant)
{
	while (tenant->kept) {
		keep_one_less(fair, tenant);
		fair->in_service--;
	}
}

bool exo_places_has_room(const struct exo_fair *fair, const struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	if (!fair->on)
		return true;
	if (tenant->kept && !tenant->in_line && exo_turns_is_behind(fair, tenant))
		return true;
	return fair->in_service - turn->placed < exo_places_depth(fair) &&
	       exo_turns_would_be_next(fair, turn);
}

void exo_places_give(struct exo_fair *fair, struct exo_turn *turn)
{
	turn->given = true;
	if (fair->on)
		take_place(fair, turn);
	else
		exo_places_give_up(fair, turn);
}

void exo_places_keep(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;
	unsigned int keep_us = exo_limit(fair_keep_us);

	if (!fair->on || !keep_us || !exo_turns_first_tenant(fair) || tenant->in_line ||
	    2 * fair->kept >= exo_places_depth(fair) || !exo_turns_is_behind(fair, tenant)) {
		exo_places_give_up(fair, turn);
		return;
	}
	turn->placed = false;
	tenant->placed--;
	tenant->kept++;
	fair->kept++;
	tenant->keep_until = ktime_add_us(ktime_get(), keep_us);
	list_move_tail(&tenant->keep_entry, &fair->keepers);
	exo_fair_arm(fair, tenant->keep_until);
}

void exo_places_end_keeping(struct exo_fair *fair, ktime_t now)
{
	struct exo_tenant *tenant;

	while ((tenant = list_first_entry_or_null(&fair->keepers, struct exo_tenant, keep_entry))) {
		if (tenant->keep_until > now) {
			exo_fair_arm(fair, tenant->keep_until);
			return;
		}
		exo_places_keep_none(fair, tenant);
	}
}
