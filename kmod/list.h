/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EXO_LIST_H
#define EXO_LIST_H

struct exo_ioctl_call;

int exo_list_ioctl(struct exo_ioctl_call *call);

#endif /* EXO_LIST_H */
