/* SPDX-License-Identifier: GPL-2.0-only */
/* How many grants each user has open, bounded by EXO_MAX_GRANTS_PER_USER. */
#ifndef EXO_USER_H
#define EXO_USER_H

#include <linux/uidgid.h>

struct exo_user;

struct exo_user *exo_user_charge(kuid_t uid);
void exo_user_uncharge(struct exo_user *user);

#endif /* EXO_USER_H */
