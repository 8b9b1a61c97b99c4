/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each user has: open grants, bounded by max_grants_per_user, and memory of traversals in flight
 * on them. The kernel charges that memory to a cgroup, too, but most have no limit; and what a process has allocated in the kernel is
 * nothing that the OOM killer would judge it by.
 *
 * Lifetime: referenced by the user's grants, open or not.
 */
#ifndef EXO_USER_H
#define EXO_USER_H

#include <linux/types.h>
#include <linux/uidgid.h>

struct exo_user;

struct exo_user *exo_user_charge(kuid_t uid);
void exo_user_uncharge(struct exo_user *user);
void exo_user_put(struct exo_user *user);
int exo_user_take_memory(struct exo_user *user, u32 pages);
void exo_user_give_memory(struct exo_user *user, u32 pages);

#endif /* EXO_USER_H */
