// SPDX-License-Identifier: GPL-2.0-only
/* The order of turns; see turns.h. */
#include <linux/container_of.h>
#include <linux/minmax.h>
#include <linux/rbtree.h>

#include "fair.h"
#include "limits.h"
#include "turns.h"

/* Virtual time may wrap around. */
static bool before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static u64 later(u64 a, u64 b)
{
	return before(a, b) ? b : a;
}

/* A small read costs a drive about as much as one of a page. */
static u64 cost(u32 bytes, u32 weight)
{
	return ((u64)max(bytes, EXO_FAIR_LEAST_BYTES) << EXO_FAIR_SHIFT) / weight;
}

static bool turn_before(struct rb_node *a, const struct rb_node *b)
{
	return before(rb_entry(a, struct exo_turn, node)->start,
		      rb_entry(b, struct exo_turn, node)->start);
}

static bool tenant_before(struct rb_node *a, const struct rb_node *b)
{
	return before(rb_entry(a, struct exo_tenant, node)->start,
		      rb_entry(b, struct exo_tenant, node)->start);
}

struct exo_tenant *exo_turns_first_tenant(const struct exo_fair *fair)
{
	struct rb_node *node = rb_first_cached(&fair->tenants);

	return node ? rb_entry(node, struct exo_tenant, node) : NULL;
}

struct exo_turn *exo_turns_first(const struct exo_tenant *tenant)
{
	return rb_entry(rb_first_cached(&tenant->turns), struct exo_turn, node);
}

u64 exo_turns_start_of_tenant(const struct exo_fair *fair, const struct exo_tenant *tenant)
{
	return tenant->in_line ? tenant->start : later(fair->time, tenant->finish);
}

static u64 start_of_turn(const struct exo_turn *turn)
{
	return later(turn->grant->tenant->time, turn->grant->finish);
}

void exo_turns_set_start(struct exo_turn *turn)
{
	struct exo_grant *grant = turn->grant;

	turn->start = start_of_turn(turn);
	grant->finish = turn->start + cost(turn->bytes, grant->weight);
}

void exo_turns_line_up(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	exo_turns_set_start(turn);
	rb_add_cached(&turn->node, &tenant->turns, turn_before);
	if (!tenant->in_line) {
		tenant->start = exo_turns_start_of_tenant(fair, tenant);
		tenant->in_line = true;
		rb_add_cached(&tenant->node, &fair->tenants, tenant_before);
	}
}

void exo_turns_leave_line(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	rb_erase_cached(&turn->node, &tenant->turns);
	RB_CLEAR_NODE(&turn->node);
	if (RB_EMPTY_ROOT(&tenant->turns.rb_root)) {
		rb_erase_cached(&tenant->node, &fair->tenants);
		tenant->in_line = false;
	}
}

void exo_turns_withdraw(struct exo_fair *fair, struct exo_turn *turn)
{
	exo_turns_leave_line(fair, turn);
	turn->grant->finish -= cost(turn->bytes, turn->grant->weight);
}

void exo_turns_advance(struct exo_fair *fair, const struct exo_turn *turn, u64 start)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	tenant->time = turn->start;
	fair->time = start;
	tenant->finish = start + cost(turn->bytes, READ_ONCE(tenant->weight));
	if (tenant->in_line) {
		rb_erase_cached(&tenant->node, &fair->tenants);
		tenant->start = tenant->finish;
		rb_add_cached(&tenant->node, &fair->tenants, tenant_before);
	}
}

bool exo_turns_is_behind(const struct exo_fair *fair, const struct exo_tenant *tenant)
{
	const struct exo_tenant *first = exo_turns_first_tenant(fair);

	return !first || !before(first->start, exo_turns_start_of_tenant(fair, tenant));
}

bool exo_turns_would_be_next(const struct exo_fair *fair, const struct exo_turn *turn)
{
	const struct exo_tenant *tenant = turn->grant->tenant, *first = exo_turns_first_tenant(fair);

	if (!first)
		return true;
	if (tenant != first)
		return before(exo_turns_start_of_tenant(fair, tenant), first->start);
	return before(start_of_turn(turn), exo_turns_first(tenant)->start);
}
