// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: who goes next, who waits for what, and how long at most without a look whether it still
 * may.
 *
 * Where a turn is: nowhere; waiting for a rate (turn->rate), or for reads of its cgroup that are held
 * back (turn->parked); in line (in its tenant's tree); or given. It moves on under fair->lock only.
 * From the moment it waits it is driven by nobody; whoever takes it out calls exo_fair_go() once,
 * after the lock.
 */
#include <linux/blk-mq.h>
#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "fair.h"
#include "limits.h"
#include "stats.h"
#include "volume.h"

static unsigned int fair_depth = EXO_DEFAULT_FAIR_DEPTH;

static int set_fair_depth(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 1, EXO_MAX_FAIR_DEPTH);
}

static const struct kernel_param_ops fair_depth_ops = {
	.set = set_fair_depth,
	.get = param_get_uint,
};
module_param_cb(fair_depth, &fair_depth_ops, &fair_depth, 0644);
MODULE_PARM_DESC(fair_depth,
		 "Reads that a volume's device is given at once while tenants share it: more keeps a deep device busier, fewer bring a light tenant's next read to the front sooner");

static unsigned int fair_keep_us = EXO_DEFAULT_FAIR_KEEP_US;

static int set_fair_keep_us(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, EXO_MAX_FAIR_KEEP_US);
}

static const struct kernel_param_ops fair_keep_us_ops = {
	.set = set_fair_keep_us,
	.get = param_get_uint,
};
module_param_cb(fair_keep_us, &fair_keep_us_ops, &fair_keep_us, 0644);
MODULE_PARM_DESC(fair_keep_us,
		 "Microseconds for which a place in the device is kept for a tenant that has got less than its part and whose read has completed; 0 keeps none");

static struct exo_fair *fair_of(const struct exo_turn *turn)
{
	return turn->grant->tenant->volume->fair;
}

static u32 depth(const struct exo_fair *fair)
{
	return min(READ_ONCE(fair_depth), fair->most);
}

/* ---- virtual time, which may wrap around ---- */

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

static struct exo_tenant *first_tenant(const struct exo_fair *fair)
{
	struct rb_node *node = rb_first_cached(&fair->tenants);

	return node ? rb_entry(node, struct exo_tenant, node) : NULL;
}

static struct exo_turn *first_turn(const struct exo_tenant *tenant)
{
	return rb_entry(rb_first_cached(&tenant->turns), struct exo_turn, node);
}

static u64 start_of_tenant(const struct exo_fair *fair, const struct exo_tenant *tenant)
{
	return tenant->in_line ? tenant->start : later(fair->time, tenant->finish);
}

static u64 start_of_turn(const struct exo_turn *turn)
{
	return later(turn->grant->tenant->time, turn->grant->finish);
}

/* Among the turns of its tenant. */
static void set_start(struct exo_turn *turn)
{
	struct exo_grant *grant = turn->grant;

	turn->start = start_of_turn(turn);
	grant->finish = turn->start + cost(turn->bytes, grant->weight);
}

static void line_up(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	set_start(turn);
	rb_add_cached(&turn->node, &tenant->turns, turn_before);
	if (!tenant->in_line) {
		tenant->start = start_of_tenant(fair, tenant);
		tenant->in_line = true;
		rb_add_cached(&tenant->node, &fair->tenants, tenant_before);
	}
}

static void leave_line(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	rb_erase_cached(&turn->node, &tenant->turns);
	RB_CLEAR_NODE(&turn->node);
	if (RB_EMPTY_ROOT(&tenant->turns.rb_root)) {
		rb_erase_cached(&tenant->node, &fair->tenants);
		tenant->in_line = false;
	}
}

/* Moves the clocks on for a turn that is given, and not in line any more. @start: of its tenant */
static void advance(struct exo_fair *fair, const struct exo_turn *turn, u64 start)
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

/* ---- places in service ---- */

static void give_place_up(struct exo_fair *fair, struct exo_turn *turn)
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

static void keep_none(struct exo_fair *fair, struct exo_tenant *tenant)
{
	while (tenant->kept) {
		keep_one_less(fair, tenant);
		fair->in_service--;
	}
}

/* Whether a tenant that has nothing in line is behind all that have. */
static bool is_behind(const struct exo_fair *fair, const struct exo_tenant *tenant)
{
	const struct exo_tenant *first = first_tenant(fair);

	return !first || !before(first->start, start_of_tenant(fair, tenant));
}

/* Whether a turn that is not in line would be the next one of all. */
static bool would_be_next(const struct exo_fair *fair, const struct exo_turn *turn)
{
	const struct exo_tenant *tenant = turn->grant->tenant, *first = first_tenant(fair);

	if (!first)
		return true;
	if (tenant != first)
		return before(start_of_tenant(fair, tenant), first->start);
	return before(start_of_turn(turn), first_turn(tenant)->start);
}

static bool has_room(const struct exo_fair *fair, const struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;

	if (!fair->on)
		return true;
	if (tenant->kept && !tenant->in_line && is_behind(fair, tenant))
		return true;
	return fair->in_service - turn->placed < depth(fair) && would_be_next(fair, turn);
}

/* The turn is not in line. */
static void give(struct exo_fair *fair, struct exo_turn *turn)
{
	turn->given = true;
	if (fair->on)
		take_place(fair, turn);
	else
		give_place_up(fair, turn);
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

static void arm(struct exo_fair *fair, ktime_t at)
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
	if (fair->waiters == 1)
		fair->look_at = ktime_add_ms(ktime_get(), EXO_FAIR_LOOK_MS);
	arm(fair, fair->look_at);
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

/*
 * The place of a read that has completed stays its tenant's for an instant, if others would take it
 * for good.
 */
static void keep_place(struct exo_fair *fair, struct exo_turn *turn)
{
	struct exo_tenant *tenant = turn->grant->tenant;
	unsigned int keep_us = READ_ONCE(fair_keep_us);

	if (!fair->on || !keep_us || !first_tenant(fair) || tenant->in_line ||
	    2 * fair->kept >= depth(fair) || !is_behind(fair, tenant)) {
		give_place_up(fair, turn);
		return;
	}
	turn->placed = false;
	tenant->placed--;
	tenant->kept++;
	fair->kept++;
	tenant->keep_until = ktime_add_us(ktime_get(), keep_us);
	list_move_tail(&tenant->keep_entry, &fair->keepers);
	arm(fair, tenant->keep_until);
}

static void end_keeping(struct exo_fair *fair, ktime_t now)
{
	struct exo_tenant *tenant;

	while ((tenant = list_first_entry_or_null(&fair->keepers, struct exo_tenant, keep_entry))) {
		if (tenant->keep_until > now) {
			arm(fair, tenant->keep_until);
			return;
		}
		keep_none(fair, tenant);
	}
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
	arm(fair, rate->node.expires);
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
		line_up(fair, turn);
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
		tenant = first_tenant(fair);
		if (!tenant || (fair->on && fair->in_service >= depth(fair)))
			return false;
		turn = first_turn(tenant);
		leave_line(fair, turn);
		advance(fair, turn, tenant->start);
		give(fair, turn);
		end_waiting(fair, turn, taken);
	}
	return true;
}

static void serve(struct exo_fair *fair, struct list_head *taken)
{
	if (serve_line(fair, taken))
		arm(fair, ktime_add_us(ktime_get(), EXO_FAIR_AGAIN_US));
}

static void stop_waiting(struct exo_fair *fair, struct exo_turn *turn, struct list_head *taken)
{
	if (turn->rate)
		leave_rate(fair, turn);
	else if (turn->parked)
		exo_backlog_unpark(turn);
	else
		leave_line(fair, turn);
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
	if (!fair->waiters)
		fair->unlooked = 0;
}

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct exo_fair *fair = container_of(timer, struct exo_fair, timer);
	struct timerqueue_node *node;
	LIST_HEAD(taken);
	unsigned long flags;
	ktime_t now;

	raw_spin_lock_irqsave(&fair->lock, flags);
	now = ktime_get();
	fair->timer_at = 0;
	if (now >= fair->look_at) {
		fair->look_at = ktime_add_ms(now, EXO_FAIR_LOOK_MS);
		fair->unlooked = fair->waiters;
	}
	end_keeping(fair, now);
	look(fair, &taken);
	serve_rates(fair, ktime_to_ns(now));
	serve(fair, &taken);
	if (fair->waiters)
		arm(fair, fair->unlooked ? ktime_add_us(now, EXO_FAIR_AGAIN_US) : fair->look_at);
	node = timerqueue_getnext(&fair->rates);
	if (node)
		arm(fair, max(node->expires, ktime_add_us(now, EXO_FAIR_AGAIN_US)));
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
	may = has_room(fair, turn) && !holding(turn, now_ns, true) &&
	      (!turn->backlog || exo_backlog_enter(turn));
	if (may) {
		pay(turn, now_ns);
		set_start(turn);
		advance(fair, turn, start_of_tenant(fair, turn->grant->tenant));
		give(fair, turn);
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
	give_place_up(fair, turn);
	/* There was none for it, or it has had its part. */
	keep_none(fair, turn->grant->tenant);
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
		keep_place(fair, turn);
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
		give_place_up(fair, turn);
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
		fair->look_at = ktime_get();
		arm(fair, fair->look_at);
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
	keep_none(fair, tenant);
	deactivate(fair, tenant);
	set_on(fair);
	serve(fair, &taken);
	raw_spin_unlock_irqrestore(&fair->lock, flags);
	go_all(&taken, NULL);
}

/* ---- one for each disk ---- */

static DEFINE_MUTEX(fairs_lock);	/* guards fairs and who is attached */
static LIST_HEAD(fairs);

static struct exo_fair *fair_create(struct request_queue *queue)
{
	const struct blk_mq_tag_set *set = queue->tag_set;
	struct exo_fair *fair = kzalloc(sizeof(*fair), GFP_KERNEL_ACCOUNT);

	if (!fair)
		return NULL;
	kref_init(&fair->ref);
	fair->queue = queue;
	raw_spin_lock_init(&fair->lock);
	fair->tenants = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&fair->active);
	INIT_LIST_HEAD(&fair->keepers);
	INIT_LIST_HEAD(&fair->waiting);
	timerqueue_init_head(&fair->rates);
	hrtimer_init(&fair->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	fair->timer.function = tick;
	/* A device without hardware queues takes any number. */
	fair->most = !queue_is_mq(queue) ? U32_MAX :
		     set->queue_depth * max(set->map[HCTX_TYPE_READ].nr_queues,
					    set->map[HCTX_TYPE_DEFAULT].nr_queues);
	return fair;
}

/**
 * exo_fair_attach() - the turns of a disk
 * @queue: of the disk, which the caller holds open
 *
 * Context: process, may sleep.
 * Return: to be given back with exo_fair_detach() when the device is let go, and later with
 * exo_fair_put(); NULL if there is no memory.
 */
struct exo_fair *exo_fair_attach(struct request_queue *queue)
{
	struct exo_fair *fair;

	guard(mutex)(&fairs_lock);
	list_for_each_entry(fair, &fairs, entry) {
		if (fair->queue != queue)
			continue;
		fair->attached++;
		kref_get(&fair->ref);
		return fair;
	}
	fair = fair_create(queue);
	if (!fair)
		return NULL;
	fair->attached = 1;
	list_add(&fair->entry, &fairs);
	return fair;
}

/**
 * exo_fair_detach() - a volume is about to let its device go
 * @fair: stays referenced; another disk may get the address of its queue
 *
 * Context: process, may sleep.
 */
void exo_fair_detach(struct exo_fair *fair)
{
	guard(mutex)(&fairs_lock);
	if (!--fair->attached)
		list_del(&fair->entry);
}

static void fair_free(struct kref *ref)
{
	struct exo_fair *fair = container_of(ref, struct exo_fair, ref);

	/* Nothing waits; the timer may still be on its way out. */
	hrtimer_cancel(&fair->timer);
	kfree_rcu(fair, rcu);
}

/**
 * exo_fair_put() - the volume's memory goes
 * @fair: may be freed
 *
 * Context: any but hard interrupt.
 */
void exo_fair_put(struct exo_fair *fair)
{
	kref_put(&fair->ref, fair_free);
}
