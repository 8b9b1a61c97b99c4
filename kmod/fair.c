// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who waits for a turn, for what, and how long at most without a look whether it still may. Who goes
 * next is turns.c's, how many at once places.c's.
 *
 * Where a turn is: nowhere; waiting for a rate (turn->rate), or for reads of its cgroup that are held
 * back (turn->parked); in line (in its tenant's tree); or given. It moves on under fair->lock only.
 * From the moment it waits it is driven by nobody; whoever takes it out calls exo_fair_go() once,
 * after the lock.
 */
#include <linux/container_of.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/minmax.h>

#include "fair.h"
#include "limits.h"
#include "places.h"
#include "turns.h"
#include "volume.h"

static struct exo_fair *fair_of(const struct exo_turn *turn)
{
	return turn->grant->tenant->volume->fair;
}

/* ---- who is active ---- */

static void set_on(struct exo_fair *fair)
{
	bool on = fair->actives > 1;

	if (fair->on != on)
		WRITE_ONCE(fair->on, on);
}

static void deactivate(struct exo_fair *fair, struct exo_tenant *tenant)
{
	if (!tenant->active)
		return;
	tenant->active = false;
	list_del(&tenant->active_entry);
	fair->actives--;
}

static void note_active(struct exo_fair *fair, struct exo_tenant *tenant)
{
	struct exo_tenant *oldest;

	if (tenant->active && exo_tenant_was_seen(tenant))
		return;
	WRITE_ONCE(tenant->seen, jiffies);
	if (tenant->active) {
		list_move_tail(&tenant->active_entry, &fair->active);
	} else {
		tenant->active = true;
		list_add_tail(&tenant->active_entry, &fair->active);
		fair->actives++;
	}
	/*
	 * Two at most, so that it never takes long: each tenant that stays looks again in a jiffy.
	 */
	for (int i = 0; i < 2; i++) {
		oldest = list_first_entry(&fair->active, struct exo_tenant, active_entry);
		if (oldest->waiters || oldest->placed ||
		    time_before(jiffies, oldest->seen + msecs_to_jiffies(EXO_ACTIVE_MS)))
			break;
		deactivate(fair, oldest);
	}
	set_on(fair);
}

/* ---- waiting ---- */

void exo_fair_arm(struct exo_fair *fair, ktime_t at)
{
	if (fair->timer_at && fair->timer_at <= at)
		return;
	fair->timer_at = at;
	hrtimer_start(&fair->timer, at, HRTIMER_MODE_ABS);
}

static void begin_waiting(struct exo_fair *fair, struct exo_turn *turn)
{
	turn->waits = true;
	list_add_tail(&turn->entry, &fair->waiting);
	fair->waiters++;
	turn->grant->tenant->waiters++;
	if (fair->waiters == 1) {
		fair->unlooked = 0;
		fair->look_at = ktime_add_ms(ktime_get(), EXO_FAIR_LOOK_MS);
	}
	exo_fair_arm(fair, fair->look_at);
}

/* @taken: for go_all() */
static void end_waiting(struct exo_fair *fair, struct exo_turn *turn, struct list_head *taken)
{
	turn->waits = false;
	list_move_tail(&turn->entry, taken);
	fair->waiters--;
	turn->grant->tenant->waiters--;
}

/* Without the lock; afterwards the turns may be gone. Returns whether @own was among them. */
static bool go_all(struct list_head *taken, const struct exo_turn *own)
{
	struct exo_turn *turn, *next;
	bool found = false;

	list_for_each_entry_safe(turn, next, taken, entry) {
		if (turn == own)
			found = true;
		else
			exo_fair_go(turn);
	}
	return found;
}

/* ---- rates ---- */

static struct exo_rate *first_rate(const struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	return turn->grant->rate_above ?: READ_ONCE(tenant->limited) ? &tenant->rate : NULL;
}

static struct exo_rate *next_rate(const struct exo_turn *turn, const struct exo_rate *rate)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	if (rate == &tenant->rate)
		return NULL;
	return rate->above ?: READ_ONCE(tenant->limited) ? &tenant->rate : NULL;
}

#define for_each_rate(rate, turn) \
	for (rate = first_rate(turn); rate; rate = next_rate(turn, rate))

/* The rate that does not let the turn go now. @behind: others that wait for it come first. */
static struct exo_rate *holding(const struct exo_turn *turn, u64 now_ns, bool behind)
{
	struct exo_rate *rate;

	if (turn->paid)
		return NULL;
	for_each_rate(rate, turn) {
		if (exo_rate_next_ns(rate) > now_ns || (behind && !list_empty(&rate->turns)))
			return rate;
	}
	return NULL;
}

static void pay(struct exo_turn *turn, u64 now_ns)
{
	struct exo_rate *rate;

	if (turn->paid)
		return;
	turn->paid = true;
	for_each_rate(rate, turn)
		exo_rate_charge(rate, now_ns, turn->bytes);
}

static void reschedule(struct exo_fair *fair, struct exo_rate *rate)
{
	if (!RB_EMPTY_NODE(&rate->node.node))
		timerqueue_del(&fair->rates, &rate->node);
	if (list_empty(&rate->turns))
		return;
	rate->node.expires = ns_to_ktime(exo_rate_next_ns(rate));
	timerqueue_add(&fair->rates, &rate->node);
	exo_fair_arm(fair, rate->node.expires);
}

static void wait_for_rate(struct exo_fair *fair, struct exo_turn *turn, struct exo_rate *rate)
{
	bool first = list_empty(&rate->turns);

	turn->rate = rate;
	list_add_tail(&turn->rate_entry, &rate->turns);
	if (first)
		reschedule(fair, rate);
}

static void leave_rate(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_rate *rate = turn->rate;

	turn->rate = NULL;
	list_del(&turn->rate_entry);
	if (list_empty(&rate->turns))
		reschedule(fair, rate);
}

/* Puts a turn that waits where it belongs. */
static void place(struct exo_fair *fair, struct exo_turn *turn, u64 now_ns, bool behind)
{
	struct exo_rate *rate = holding(turn, now_ns, behind);

	if (rate) {
		wait_for_rate(fair, turn, rate);
		return;
	}
	pay(turn, now_ns);
	if (turn->backlog && !exo_backlog_enter(turn))
		exo_backlog_park(turn);
	else
		exo_turns_line_up(fair, turn);
}

/* Lets those go on to the line that need not wait for reads of their cgroup any longer. */
static void unpark(struct exo_fair *fair, struct exo_backlog *backlog)
{
	u64 now_ns = ktime_get_ns();
	struct exo_turn *turn;

	while ((turn = exo_backlog_next(backlog)))
		place(fair, turn, now_ns, false);
}

/* Lets those go on to the line whose rates allow it; a bounded number. */
static void serve_rates(struct exo_fair *fair, u64 now_ns)
{
	struct timerqueue_node *node;
	struct exo_rate *rate;
	struct exo_turn *turn;

	for (u32 i = 0; i < EXO_FAIR_BURST; i++) {
		node = timerqueue_getnext(&fair->rates);
		if (!node || node->expires > now_ns)
			return;
		rate = container_of(node, struct exo_rate, node);
		turn = list_first_entry(&rate->turns, struct exo_turn, rate_entry);
		turn->rate = NULL;
		list_del(&turn->rate_entry);
		place(fair, turn, now_ns, false);
		reschedule(fair, rate);
	}
}

/* ---- the line ---- */

/* Gives turns to those in line while there are places; a bounded number. True = there are more. */
static bool serve_line(struct exo_fair *fair, struct list_head *taken)
{
	struct exo_tenant *tenant;
	struct exo_turn *turn;

	for (u32 i = 0; i < EXO_FAIR_BURST; i++) {
		tenant = exo_turns_first_tenant(fair);
		if (!tenant || (fair->on && fair->in_service >= exo_places_depth(fair)))
			return false;
		turn = exo_turns_first(tenant);
		exo_turns_leave_line(fair, turn);
		exo_turns_advance(fair, turn, tenant->start);
		exo_places_give(fair, turn);
		end_waiting(fair, turn, taken);
	}
	return true;
}

static void serve(struct exo_fair *fair, struct list_head *taken)
{
	if (serve_line(fair, taken))
		exo_fair_arm(fair, ktime_add_us(ktime_get(), EXO_FAIR_AGAIN_US));
}

static void stop_waiting(struct exo_fair *fair, struct exo_turn *turn, struct list_head *taken)
{
	if (turn->rate)
		leave_rate(fair, turn);
	else if (turn->parked)
		exo_backlog_unpark(turn);
	else
		exo_turns_withdraw(fair, turn);
	end_waiting(fair, turn, taken);
}

/* Takes those out that must not wait any longer; a bounded number. */
static void look(struct exo_fair *fair, struct list_head *taken)
{
	struct exo_turn *turn;

	for (u32 i = 0; i < EXO_FAIR_BURST && fair->unlooked && fair->waiters; i++) {
		fair->unlooked--;
		turn = list_first_entry(&fair->waiting, struct exo_turn, entry);
		if (!exo_fair_must_not_wait(turn)) {
			list_move_tail(&turn->entry, &fair->waiting);
			continue;
		}
		stop_waiting(fair, turn, taken);
	}
	fair->unlooked = min(fair->unlooked, fair->waiters);
}

/*
 * Begins a round of looks, or goes on with one. It rests in between, so that those who are held back for
 * long, however many they are, take a small part of a CPU only.
 */
static void look_on(struct exo_fair *fair, ktime_t now, struct list_head *taken)
{
	ktime_t took;

	if (!fair->unlooked) {
		fair->unlooked = fair->waiters;
		fair->round_at = now;
	}
	look(fair, taken);
	took = ktime_sub(ktime_get(), now);
	fair->look_at = max(ktime_add_us(now, EXO_FAIR_AGAIN_US), now + EXO_FAIR_LOOK_REST * took);
	if (!fair->unlooked)
		fair->look_at = max(fair->look_at, ktime_add_ms(fair->round_at, EXO_FAIR_LOOK_MS));
}

enum hrtimer_restart exo_fair_tick(struct hrtimer *timer)
{
	struct exo_fair *fair = container_of(timer, struct exo_fair, timer);
	struct timerqueue_node *node;
	LIST_HEAD(taken);
	unsigned long flags;
	ktime_t now;

	raw_spin_lock_irqsave(&fair->lock, flags);
	now = ktime_get();
	fair->timer_at = 0;
	if (now >= fair->look_at)
		look_on(fair, now, &taken);
	exo_places_end_keeping(fair, now);
	serve_rates(fair, ktime_to_ns(now));
	serve(fair, &taken);
	if (fair->waiters)
		exo_fair_arm(fair, fair->look_at);
	node = timerqueue_getnext(&fair->rates);
	if (node)
		exo_fair_arm(fair, max(node->expires, ktime_add_us(now, EXO_FAIR_AGAIN_US)));
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
	return HRTIMER_NORESTART;
}

/* ---- what others call ---- */

/* exo_fair_ask(), where it does not answer by itself. */
bool exo_fair_ask_slow(struct exo_turn *turn)
{
	struct exo_fair *fair = fair_of(turn);
	LIST_HEAD(taken);
	unsigned long flags;
	bool may;
	u64 now_ns;

	raw_spin_lock_irqsave(&fair->lock, flags);
	now_ns = ktime_get_ns();
	note_active(fair, turn->grant->tenant);
	may = exo_places_has_room(fair, turn) && !holding(turn, now_ns, true) &&
	      (!turn->backlog || exo_backlog_enter(turn));
	if (may) {
		pay(turn, now_ns);
		exo_turns_set_start(turn);
		exo_turns_advance(fair, turn, exo_turns_start_of_tenant(fair, turn->grant->tenant));
		exo_places_give(fair, turn);
	}
	/* Turned off, it leaves nobody in line. */
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
	return may;
}

/**
 * exo_fair_wait() - wait for a turn
 * @turn: exo_fair_ask() has just refused
 *
 * Context: any.
 * Return: true if it has been given meanwhile. Otherwise nobody drives the turn's traversal until
 * exo_fair_go(), which may already run elsewhere.
 */
bool exo_fair_wait(struct exo_turn *turn)
{
	struct exo_fair *fair = fair_of(turn);
	LIST_HEAD(taken);
	unsigned long flags;

	exo_tenant_count(turn->grant->tenant, waited);
	raw_spin_lock_irqsave(&fair->lock, flags);
	exo_places_give_up(fair, turn);
	/* There was none for it, or it has had its part. */
	exo_places_keep_none(fair, turn->grant->tenant);
	begin_waiting(fair, turn);
	place(fair, turn, ktime_get_ns(), true);
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	return go_all(&taken, turn);
}

/**
 * exo_fair_leave() - wait no longer
 * @turn: for which exo_fair_wait() returned false
 *
 * Context: any.
 * Return: false if it is too late for that: exo_fair_go() has been called or will be.
 */
bool exo_fair_leave(struct exo_turn *turn)
{
	struct exo_fair *fair = fair_of(turn);
	LIST_HEAD(taken);
	unsigned long flags;
	bool waited;

	raw_spin_lock_irqsave(&fair->lock, flags);
	waited = turn->waits;
	if (waited)
		stop_waiting(fair, turn, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	return waited;
}

/* exo_fair_done(), where there is something to do. */
void exo_fair_done_slow(struct exo_turn *turn)
{
	struct exo_fair *fair = fair_of(turn);
	LIST_HEAD(taken);
	unsigned long flags;

	raw_spin_lock_irqsave(&fair->lock, flags);
	if (turn->placed)
		exo_places_keep(fair, turn);
	if (turn->tries) {
		exo_backlog_leave(turn);
		unpark(fair, turn->backlog);
	}
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
}

/**
 * exo_fair_submitted() - the block layer has been given a read
 * @turn: of the read, with a backlog; driven by the caller
 * @held: the block layer holds it back
 *
 * A read that is held back takes no place in the device, for however long that is.
 *
 * Context: process.
 */
void exo_fair_submitted(struct exo_turn *turn, bool held)
{
	struct exo_backlog *backlog = turn->backlog;
	struct exo_fair *fair = backlog->volume->fair;
	LIST_HEAD(taken);
	unsigned long flags;

	if (likely(!held && !turn->tries))
		return;
	raw_spin_lock_irqsave(&fair->lock, flags);
	exo_backlog_tried(turn, held);
	if (held && turn->placed)
		exo_places_give_up(fair, turn);
	unpark(fair, backlog);
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
}

/**
 * exo_fair_let_go() - a read that was held back has completed
 * @turn: of the read
 *
 * Context: any.
 */
void exo_fair_let_go(struct exo_turn *turn)
{
	struct exo_backlog *backlog = turn->backlog;
	struct exo_fair *fair = backlog->volume->fair;
	LIST_HEAD(taken);
	unsigned long flags;

	raw_spin_lock_irqsave(&fair->lock, flags);
	exo_backlog_leave(turn);
	unpark(fair, backlog);
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
}

/**
 * exo_fair_look() - look soon whether those that wait still may, because some may not
 * @fair: of the disk
 *
 * Context: any.
 */
void exo_fair_look(struct exo_fair *fair)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&fair->lock, flags);
	if (fair->waiters) {
		fair->unlooked = fair->waiters;
		fair->look_at = ktime_get();
		fair->round_at = fair->look_at;
		exo_fair_arm(fair, fair->look_at);
	}
	raw_spin_unlock_irqrestore(&fair->lock, flags);
}

/**
 * exo_fair_waiting() - how many turns of a tenant wait, for a listing
 * @tenant: concerned
 * @active: set to whether it counts as active
 *
 * Context: any.
 */
u32 exo_fair_waiting(struct exo_tenant *tenant, bool *active)
{
	*active = READ_ONCE(tenant->active) &&
		  time_before(jiffies,
			      READ_ONCE(tenant->seen) + msecs_to_jiffies(EXO_ACTIVE_MS));
	return READ_ONCE(tenant->waiters);
}

/**
 * exo_fair_set_terms() - give a tenant another weight and rate
 * @tenant: concerned
 * @weight: 1 to EXO_MAX_WEIGHT
 * @reads: per second; 0 = no limit
 * @bytes: per second; 0 = no limit
 *
 * Context: any.
 */
void exo_fair_set_terms(struct exo_tenant *tenant, u32 weight, u32 reads, u64 bytes)
{
	struct exo_fair *fair = tenant->volume->fair;
	struct exo_rate *rate = &tenant->rate;
	unsigned long flags;

	raw_spin_lock_irqsave(&fair->lock, flags);
	WRITE_ONCE(tenant->weight, weight);
	rate->reads = reads;
	rate->bytes = bytes;
	/* Debts are of the old rate. */
	rate->reads_at_ns = 0;
	rate->bytes_at_ns = 0;
	WRITE_ONCE(tenant->limited, reads || bytes);
	reschedule(fair, rate);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
}

/**
 * exo_fair_forget() - a tenant goes
 * @tenant: has no turn that waits, or is in service
 *
 * Context: any.
 */
void exo_fair_forget(struct exo_tenant *tenant)
{
	struct exo_fair *fair = tenant->volume->fair;
	LIST_HEAD(taken);
	unsigned long flags;

	raw_spin_lock_irqsave(&fair->lock, flags);
	exo_places_keep_none(fair, tenant);
	deactivate(fair, tenant);
	set_on(fair);
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
}
