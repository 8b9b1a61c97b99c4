/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The audit ring: who was granted what and how it ended. Events are written in process context by
 * whoever caused them; readers come through EXO_IOC_AUDIT_OPEN.
 */
#ifndef EXO_AUDIT_H
#define EXO_AUDIT_H

#include <linux/exo.h>

struct exo_ioctl_call;

/* Who did it. The current process unless a caller has recorded somebody else. */
struct exo_actor {
	u32 uid;			/* initial user namespace */
	u32 pid;			/* initial pid namespace */
	char comm[EXO_COMM_BYTES];
};

void exo_actor_current(struct exo_actor *actor);
void exo_audit(const struct exo_audit_event *event);
void exo_audit_as(const struct exo_audit_event *event, const struct exo_actor *actor);
void exo_audit_totals(u64 *events, u64 *lost);
int exo_audit_open(struct exo_ioctl_call *call);
int exo_audit_init(void);
void exo_audit_exit(void);

#endif /* EXO_AUDIT_H */
