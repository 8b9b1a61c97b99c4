// SPDX-License-Identifier: GPL-2.0-only
/* How many grants each user has open. */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "limits.h"
#include "user.h"

struct exo_user {
	struct hlist_node entry;
	kuid_t uid;
	u32 grants;
};

static DEFINE_MUTEX(users_lock);	/* guards users and their counts */
static DEFINE_HASHTABLE(users, 6);

/**
 * exo_user_charge() - count one more grant of a user
 * @uid: of the user
 *
 * Context: process, may sleep.
 * Return: what exo_user_uncharge() takes back, or -EUSERS or -ENOMEM.
 */
struct exo_user *exo_user_charge(kuid_t uid)
{
	struct exo_user *user;

	guard(mutex)(&users_lock);
	hash_for_each_possible(users, user, entry, __kuid_val(uid)) {
		if (!uid_eq(user->uid, uid))
			continue;
		if (user->grants >= EXO_MAX_GRANTS_PER_USER)
			return ERR_PTR(-EUSERS);
		user->grants++;
		return user;
	}
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	user->uid = uid;
	user->grants = 1;
	hash_add(users, &user->entry, __kuid_val(uid));
	return user;
}

/**
 * exo_user_uncharge() - one grant less
 * @user: as exo_user_charge() gave it
 *
 * Context: process, may sleep.
 */
void exo_user_uncharge(struct exo_user *user)
{
	guard(mutex)(&users_lock);
	if (--user->grants)
		return;
	hash_del(&user->entry);
	kfree(user);
}
