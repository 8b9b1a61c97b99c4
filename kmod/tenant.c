// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds, makes and lists tenants, and sets what the administrator wants for them. What follows from
 * weights and rates is fair.c's.
 */
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/cleanup.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "budget.h"
#include "fair.h"
#include "ioctl.h"
#include "tenant.h"
#include "volume.h"

static bool cgroup_tenants;
module_param(cgroup_tenants, bool, 0644);
MODULE_PARM_DESC(cgroup_tenants,
		 "Whether a tenant is a cgroup of the unified hierarchy instead of a user (default N); for grants that are opened from now on");

DEFINE_XARRAY_ALLOC1(exo_tenants);

static DEFINE_MUTEX(tenants_lock);	/* guards volume->tenants and who refers to them */
static u32 last_tenant_id;

struct tenant_key {
	bool cgroup;
	u64 number;
};

static struct tenant_key key_of_current(void)
{
	struct tenant_key key = { .cgroup = READ_ONCE(cgroup_tenants) };

	if (key.cgroup) {
		rcu_read_lock();
		key.number = cgroup_id(task_dfl_cgroup(current));
		rcu_read_unlock();
	} else {
		key.number = from_kuid(&init_user_ns, current_uid());
	}
	return key;
}

static struct exo_tenant *find(struct exo_volume *volume, struct tenant_key key)
{
	struct exo_tenant *tenant;

	lockdep_assert_held(&tenants_lock);
	list_for_each_entry(tenant, &volume->tenants, entry) {
		if (tenant->cgroup == key.cgroup && tenant->key == key.number)
			return tenant;
	}
	return NULL;
}

static struct exo_tenant *create(struct exo_volume *volume, struct tenant_key key)
{
	struct exo_tenant *tenant;
	int ret, cpu;

	lockdep_assert_held(&tenants_lock);
	tenant = kzalloc(sizeof(*tenant), GFP_KERNEL_ACCOUNT);
	if (!tenant)
		return ERR_PTR(-ENOMEM);
	kref_init(&tenant->ref);
	tenant->volume = volume;
	tenant->cgroup = key.cgroup;
	tenant->key = key.number;
	tenant->weight = EXO_DEFAULT_WEIGHT;
	tenant->seen = jiffies - 1;
	tenant->turns = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&tenant->keep_entry);
	exo_rate_init(&tenant->rate, 0, 0);
	exo_crew_line_init(&tenant->slow);
	tenant->cpu = alloc_percpu_gfp(struct exo_tenant_cpu, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	ret = -ENOMEM;
	if (!tenant->cpu)
		goto err_free;
	for_each_possible_cpu(cpu)
		exo_crew_line_init(&per_cpu_ptr(tenant->cpu, cpu)->background);
	ret = xa_alloc_cyclic(&exo_tenants, &tenant->id, tenant, xa_limit_32b, &last_tenant_id,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0)
		goto err_cpu;
	list_add(&tenant->entry, &volume->tenants);
	return tenant;

err_cpu:
	free_percpu(tenant->cpu);
err_free:
	kfree(tenant);
	return ERR_PTR(ret);
}

static void tenant_free_rcu(struct rcu_head *rcu)
{
	struct exo_tenant *tenant = container_of(rcu, struct exo_tenant, rcu);

	free_percpu(tenant->cpu);
	kfree(tenant);
}

static void tenant_release(struct kref *ref)
{
	struct exo_tenant *tenant = container_of(ref, struct exo_tenant, ref);

	lockdep_assert_held(&tenants_lock);
	xa_erase(&exo_tenants, tenant->id);
	list_del(&tenant->entry);
	exo_fair_forget(tenant);
	/* A listing may be looking at it. */
	call_rcu(&tenant->rcu, tenant_free_rcu);
}

static void stay_no_longer(struct exo_tenant *tenant)
{
	if (!tenant->stays)
		return;
	tenant->stays = false;
	kref_put(&tenant->ref, tenant_release);
}

/*
 * What a tenant owes others must not be forgotten because he closes his last grant and opens it again. So tenants
 * stay for a while, the latest of them; the others of a volume are let go whenever one of its tenants comes or goes.
 */
static void let_old_ones_go(struct exo_volume *volume)
{
	struct exo_tenant *tenant, *next;
	u32 staying = 0;

	lockdep_assert_held(&tenants_lock);
	/* Whoever stayed last comes first. */
	list_for_each_entry_safe(tenant, next, &volume->tenants, entry) {
		if (tenant->stays && (++staying > EXO_MOST_TENANTS_STAYING ||
				      time_after(jiffies, tenant->stays_until)))
			stay_no_longer(tenant);
	}
}

/**
 * exo_tenant_get() - the tenant that the current process opens a grant for
 * @volume: of the grant; outlives it
 *
 * Context: process, may sleep.
 * Return: a tenant to be given back with exo_tenant_put(), or -ENOMEM.
 */
struct exo_tenant *exo_tenant_get(struct exo_volume *volume)
{
	struct tenant_key key = key_of_current();
	struct exo_tenant *tenant;

	guard(mutex)(&tenants_lock);
	tenant = find(volume, key);
	if (tenant) {
		kref_get(&tenant->ref);
		stay_no_longer(tenant);
	} else {
		tenant = create(volume, key);
	}
	if (!IS_ERR(tenant))
		tenant->grants++;
	let_old_ones_go(volume);
	return tenant;
}

/**
 * exo_tenant_put() - one grant less
 * @tenant: as exo_tenant_get() gave it
 *
 * Context: process, may sleep.
 */
void exo_tenant_put(struct exo_tenant *tenant)
{
	struct exo_volume *volume = tenant->volume;

	guard(mutex)(&tenants_lock);
	if (!--tenant->grants && !READ_ONCE(volume->gone)) {
		/* The grant's reference becomes the volume's. */
		tenant->stays = true;
		tenant->stays_until = jiffies + msecs_to_jiffies(EXO_TENANT_STAYS_MS);
		list_move(&tenant->entry, &volume->tenants);
		let_old_ones_go(volume);
	} else {
		kref_put(&tenant->ref, tenant_release);
	}
}

/**
 * exo_tenants_drop() - the volume's device goes, and with it what was set for its tenants
 * @volume: gone, and has no traversal in flight
 *
 * Context: process, may sleep.
 */
void exo_tenants_drop(struct exo_volume *volume)
{
	struct exo_tenant *tenant, *next;

	guard(mutex)(&tenants_lock);
	list_for_each_entry_safe(tenant, next, &volume->tenants, entry) {
		/* The one reference keeps it while the other is given back. */
		kref_get(&tenant->ref);
		stay_no_longer(tenant);
		if (tenant->set)
			kref_put(&tenant->ref, tenant_release);
		tenant->set = false;
		kref_put(&tenant->ref, tenant_release);
	}
}

/* A tenant whose terms are the usual ones again needs not be kept for them. */
static int set_terms(struct exo_volume *volume, const struct exo_tenant_set *arg)
{
	struct tenant_key key = { .cgroup = arg->flags & EXO_TENANT_CGROUP, .number = arg->key };
	u32 weight = arg->weight ?: EXO_DEFAULT_WEIGHT;
	bool keep = weight != EXO_DEFAULT_WEIGHT || arg->rate_reads || arg->rate_bytes;
	struct exo_tenant *tenant;

	guard(mutex)(&tenants_lock);
	if (READ_ONCE(volume->gone))
		return -ENOENT;
	tenant = find(volume, key);
	if (!tenant) {
		if (!keep)
			return 0;
		tenant = create(volume, key);
		if (IS_ERR(tenant))
			return PTR_ERR(tenant);
		tenant->set = true;
	}
	exo_fair_set_terms(tenant, weight, arg->rate_reads, arg->rate_bytes);
	if (keep && !tenant->set) {
		kref_get(&tenant->ref);
		tenant->set = true;
	} else if (!keep && tenant->set) {
		tenant->set = false;
		kref_put(&tenant->ref, tenant_release);
	}
	return 0;
}

/**
 * exo_tenant_set() - serve EXO_IOC_TENANT_SET
 * @call: argument struct exo_tenant_set
 *
 * Context: process, may sleep.
 */
int exo_tenant_set(struct exo_ioctl_call *call)
{
	const struct exo_tenant_set *arg = call->arg;
	struct exo_volume *volume;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (arg->flags & ~EXO_TENANT_CGROUP || arg->weight > EXO_MAX_WEIGHT ||
	    (!(arg->flags & EXO_TENANT_CGROUP) && arg->key >= (u32)-1))
		return -EINVAL;
	volume = exo_volume_find(arg->volume_id);
	if (!volume)
		return -ENOENT;
	ret = set_terms(volume, arg);
	exo_volume_put(volume);
	return ret;
}

/**
 * exo_tenant_is_mine() - whether the current process may see a tenant without privilege
 * @tenant: looked at
 *
 * Context: process, under rcu_read_lock().
 */
bool exo_tenant_is_mine(const struct exo_tenant *tenant)
{
	if (tenant->cgroup)
		return tenant->key == cgroup_id(task_dfl_cgroup(current));
	return uid_eq(KUIDT_INIT(tenant->key), current_uid());
}

/**
 * exo_tenant_fill_entry() - describe a tenant to the current process
 * @tenant: to describe
 * @entry: filled
 *
 * Context: process, under rcu_read_lock().
 */
void exo_tenant_fill_entry(struct exo_tenant *tenant, struct exo_tenant_entry *entry)
{
	u64 started = 0, ended = 0;
	bool active;
	int cpu;

	for_each_possible_cpu(cpu)
		ended += READ_ONCE(per_cpu_ptr(tenant->cpu, cpu)->ended);
	/* Ends are read before starts, so that the difference is never negative. */
	smp_rmb();
	for_each_possible_cpu(cpu) {
		const struct exo_tenant_cpu *c = per_cpu_ptr(tenant->cpu, cpu);

		started += READ_ONCE(c->started);
		entry->reads += READ_ONCE(c->reads);
		entry->bytes += READ_ONCE(c->bytes);
		entry->waited += READ_ONCE(c->waited);
		entry->cpu_ns += exo_budget_ns(c);
	}
	entry->tenant_id = tenant->id;
	entry->volume_id = tenant->volume->id;
	entry->key = tenant->cgroup ? tenant->key :
		     from_kuid_munged(current_user_ns(), KUIDT_INIT(tenant->key));
	entry->weight = READ_ONCE(tenant->weight);
	entry->rate_reads = READ_ONCE(tenant->rate.reads);
	entry->rate_bytes = READ_ONCE(tenant->rate.bytes);
	entry->in_flight = started - ended;
	entry->traversals = started;
	entry->grants = READ_ONCE(tenant->grants);
	entry->waiting = exo_fair_waiting(tenant, &active);
	entry->flags = (tenant->cgroup ? EXO_TENANT_CGROUP : 0) |
		       (READ_ONCE(tenant->set) ? EXO_TENANT_KEPT : 0) |
		       (active ? EXO_TENANT_ACTIVE : 0);
}
