/* SPDX-License-Identifier: GPL-2.0-only */
/* Weaker grants made of grants, and taking them back. */
#ifndef EXO_DERIVE_H
#define EXO_DERIVE_H

struct exo_ioctl_call;

int exo_grant_derive(struct exo_ioctl_call *call);
int exo_grant_revoke(struct exo_ioctl_call *call);
int exo_grant_revoke_id(struct exo_ioctl_call *call);

#endif /* EXO_DERIVE_H */
