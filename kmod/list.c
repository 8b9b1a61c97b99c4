// SPDX-License-Identifier: GPL-2.0-only
/*
 * EXO_IOC_LIST: pages through the objects of a kind. What an entry says is left to its object's
 * file.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include <linux/exo.h>

#include "grant.h"
#include "ioctl.h"
#include "limits.h"
#include "list.h"
#include "pin.h"
#include "program_ops.h"
#include "tenant.h"
#include "volume.h"

/* Ids index xarrays, whose indices are longs. */
static_assert(sizeof(unsigned long) == sizeof(u64));

union list_entry {
	struct exo_volume_entry volume;
	struct exo_pin_entry pin;
	struct exo_grant_entry grant;
	struct exo_program_entry program;
	struct exo_tenant_entry tenant;
};

/*
 * Fills @entry from an object unless the caller may not see it or did not ask for it.
 * Called under rcu_read_lock(), which keeps the object and what it refers to.
 */
typedef bool (*fill_fn)(void *object, u32 volume_id, bool all_users, union list_entry *entry);

static bool fill_volume(void *object, u32 volume_id, bool all_users, union list_entry *entry)
{
	exo_volume_fill_entry(object, &entry->volume);
	return !volume_id || entry->volume.volume_id == volume_id;
}

static bool fill_pin(void *object, u32 volume_id, bool all_users, union list_entry *entry)
{
	exo_pin_fill_entry(object, &entry->pin);
	return !volume_id || entry->pin.volume_id == volume_id;
}

static bool fill_grant(void *object, u32 volume_id, bool all_users, union list_entry *entry)
{
	const struct exo_grant *grant = object;

	if (!all_users && !uid_eq(grant->uid, current_uid()))
		return false;
	exo_grant_fill_entry(grant, &entry->grant);
	return !volume_id || entry->grant.volume_id == volume_id;
}

static bool fill_program(void *object, u32 volume_id, bool all_users, union list_entry *entry)
{
	exo_program_fill_entry(object, &entry->program);
	return true;
}

static bool fill_tenant(void *object, u32 volume_id, bool all_users, union list_entry *entry)
{
	if (!all_users && !exo_tenant_is_mine(object))
		return false;
	exo_tenant_fill_entry(object, &entry->tenant);
	/* One that is only remembered has nothing, and is nobody's business. */
	if (!entry->tenant.grants && !(entry->tenant.flags & EXO_TENANT_KEPT))
		return false;
	return !volume_id || entry->tenant.volume_id == volume_id;
}

static const struct list_kind {
	struct xarray *objects;
	fill_fn fill;
	size_t entry_bytes;
	bool admin_only;
} kinds[] = {
	[EXO_LIST_VOLUMES] = { &exo_volumes, fill_volume, sizeof(struct exo_volume_entry), true },
	[EXO_LIST_PINS] = { &exo_pins, fill_pin, sizeof(struct exo_pin_entry), true },
	[EXO_LIST_GRANTS] = { &exo_grants, fill_grant, sizeof(struct exo_grant_entry), false },
	[EXO_LIST_PROGRAMS] = { &exo_programs, fill_program, sizeof(struct exo_program_entry),
				false },
	[EXO_LIST_TENANTS] = { &exo_tenants, fill_tenant, sizeof(struct exo_tenant_entry), false },
};

/*
 * The first object after *@id that the caller may see, among the next EXO_LIST_BURST. False: none of
 * these; @end: there are no more.
 */
static bool next_entry(const struct list_kind *kind, unsigned long *id, u32 volume_id,
		       bool all_users, union list_entry *entry, bool *end)
{
	void *object;
	bool found = false;

	rcu_read_lock();
	for (u32 i = 0; !found && i < EXO_LIST_BURST; i++) {
		object = xa_find_after(kind->objects, id, ULONG_MAX, XA_PRESENT);
		*end = !object;
		if (*end)
			break;
		memset(entry, 0, sizeof(*entry));
		found = kind->fill(object, volume_id, all_users, entry);
	}
	rcu_read_unlock();
	return found;
}

/**
 * exo_list_ioctl() - serve EXO_IOC_LIST
 * @call: argument struct exo_list
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL unknown kind, entry_bytes 0 or too large, reserved; -EPERM; -EFAULT; -EINTR.
 */
int exo_list_ioctl(struct exo_ioctl_call *call)
{
	struct exo_list *arg = call->arg;
	const struct list_kind *kind;
	unsigned long id = arg->cursor;
	u64 user = arg->buffer;
	u32 room, known;
	bool all_users = capable(CAP_SYS_ADMIN);
	union list_entry entry;
	bool end = false;

	if (arg->kind >= ARRAY_SIZE(kinds) || !kinds[arg->kind].objects || arg->reserved)
		return -EINVAL;
	if (!arg->entry_bytes || arg->entry_bytes > EXO_MAX_LIST_ENTRY_BYTES)
		return -EINVAL;
	kind = &kinds[arg->kind];
	if (kind->admin_only && !all_users)
		return -EPERM;

	known = min_t(u32, arg->entry_bytes, kind->entry_bytes);
	room = arg->buffer_bytes / arg->entry_bytes;
	arg->count = 0;
	while (arg->count < room && id != ULONG_MAX) {
		void __user *to = u64_to_user_ptr(user);

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		if (!next_entry(kind, &id, arg->volume_id, all_users, &entry, &end)) {
			if (end)
				break;
			continue;
		}
		if (copy_to_user(to, &entry, known) ||
		    clear_user(to + known, arg->entry_bytes - known))
			return -EFAULT;
		user += arg->entry_bytes;
		arg->count++;
		arg->cursor = id;
	}
	return 0;
}
