// SPDX-License-Identifier: GPL-2.0-only
/* Counts what each user has, and refuses more than he may. */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu_counter.h>
#include <linux/slab.h>

#include "limits.h"
#include "user.h"

struct exo_user {
	struct hlist_node entry;
	kuid_t uid;
	u32 grants;			/* open */
	u32 refs;
	struct percpu_counter pages;	/* of traversals; each CPU's own count but near the limit */
};

static unsigned int user_memory_mib;

static int set_user_memory_mib(const char *text, const struct kernel_param *param)
{
	unsigned int mib;
	int ret = kstrtouint(text, 0, &mib);

	if (ret)
		return ret;
	if (mib && mib < EXO_MIN_USER_MEMORY_MIB)
		return -EINVAL;
	WRITE_ONCE(user_memory_mib, mib);
	return 0;
}

static const struct kernel_param_ops user_memory_mib_ops = {
	.set = set_user_memory_mib,
	.get = param_get_uint,
};
module_param_cb(user_memory_mib, &user_memory_mib_ops, &user_memory_mib, 0644);
MODULE_PARM_DESC(user_memory_mib,
		 "MiB that traversals in flight on the grants of one user, other than root, may have; 0 is an eighth of the machine's memory (default)");

static DEFINE_MUTEX(users_lock);	/* guards users and their counts */
static DEFINE_HASHTABLE(users, 6);

/**
 * exo_user_charge() - count one more grant of a user
 * @uid: of the user
 *
 * Context: process, may sleep.
 * Return: the user, for exo_user_uncharge() and then exo_user_put(); or -EUSERS or -ENOMEM.
 */
struct exo_user *exo_user_charge(kuid_t uid)
{
	struct exo_user *user;

	guard(mutex)(&users_lock);
	hash_for_each_possible(users, user, entry, __kuid_val(uid)) {
		if (!uid_eq(user->uid, uid))
			continue;
		if (user->grants >= exo_limit(max_grants_per_user))
			return ERR_PTR(-EUSERS);
		user->grants++;
		user->refs++;
		return user;
	}
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	if (percpu_counter_init(&user->pages, 0, GFP_KERNEL_ACCOUNT)) {
		kfree(user);
		return ERR_PTR(-ENOMEM);
	}
	user->uid = uid;
	user->grants = 1;
	user->refs = 1;
	hash_add(users, &user->entry, __kuid_val(uid));
	return user;
}

/**
 * exo_user_uncharge() - one open grant less
 * @user: as exo_user_charge() gave it; stays referenced
 *
 * Context: process, may sleep.
 */
void exo_user_uncharge(struct exo_user *user)
{
	guard(mutex)(&users_lock);
	user->grants--;
}

/**
 * exo_user_put() - the grant has gone, and all that was in flight on it
 * @user: as exo_user_charge() gave it
 *
 * Context: process, may sleep.
 */
void exo_user_put(struct exo_user *user)
{
	guard(mutex)(&users_lock);
	if (--user->refs)
		return;
	hash_del(&user->entry);
	percpu_counter_destroy(&user->pages);
	kfree(user);
}

static s64 most_pages(void)
{
	unsigned int mib = READ_ONCE(user_memory_mib);

	return mib ? (s64)mib << (20 - PAGE_SHIFT) : totalram_pages() / EXO_USER_MEMORY_PART;
}

/* Root can have what it likes anyway. */
static bool is_free(const struct exo_user *user)
{
	return uid_eq(user->uid, GLOBAL_ROOT_UID);
}

/**
 * exo_user_take_memory() - count memory of a traversal that begins
 * @user: of its grant
 * @pages: as it will need, at least
 *
 * Context: process.
 * Return: 0; or -EAGAIN, then it is not counted.
 */
int exo_user_take_memory(struct exo_user *user, u32 pages)
{
	if (is_free(user))
		return 0;
	percpu_counter_add(&user->pages, pages);
	if (percpu_counter_compare(&user->pages, most_pages()) <= 0)
		return 0;
	percpu_counter_sub(&user->pages, pages);
	return -EAGAIN;
}

/**
 * exo_user_give_memory() - the traversal has gone
 * @user: of its grant
 * @pages: as were taken
 *
 * Context: process.
 */
void exo_user_give_memory(struct exo_user *user, u32 pages)
{
	if (!is_free(user))
		percpu_counter_sub(&user->pages, pages);
}
