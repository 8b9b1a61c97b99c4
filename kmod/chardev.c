// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/exo and its ioctl table. Any process may open it: each command checks by itself what it
 * needs, a capability or a file descriptor.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include <linux/exo.h>

#include "audit.h"
#include "chardev.h"
#include "derive.h"
#include "grant.h"
#include "ioctl.h"
#include "limits.h"
#include "list.h"
#include "program_ops.h"
#include "request.h"
#include "set.h"
#include "stats.h"
#include "tenant.h"
#include "volume.h"

static int info(struct exo_ioctl_call *call)
{
	struct exo_info *arg = call->arg;

	*arg = (struct exo_info){
		.abi_version = EXO_ABI_VERSION,
		.features = EXO_FEATURE_POLLED | EXO_FEATURE_BLOCKS | EXO_FEATURE_BATCH |
			    EXO_FEATURE_DERIVE | EXO_FEATURE_DISPATCH | EXO_FEATURE_FAN_OUT |
			    EXO_FEATURE_SETS | EXO_FEATURE_TENANTS | EXO_FEATURE_FIXED_BUFFERS |
			    (IS_ENABLED(CONFIG_IO_URING) ? EXO_FEATURE_URING | EXO_FEATURE_CANCEL :
							   0) |
			    (exo_request_direct_allowed() ? EXO_FEATURE_DIRECT_ISSUE : 0),
		.max_extents = EXO_MAX_EXTENTS,
		.max_hops = exo_limit(max_hops),
		.max_hop_bytes = EXO_MAX_HOP_BYTES,
		.max_args_bytes = EXO_MAX_ARGS_BYTES,
		.max_result_bytes = EXO_MAX_RESULT_BYTES,
		.max_timeout_ms = exo_limit(max_timeout_ms),
		.max_blocks_bytes = EXO_MAX_BLOCKS_BYTES,
		.max_batch = EXO_MAX_BATCH,
		.max_fan_out = EXO_MAX_FAN_OUT,
		.max_slots = EXO_MAX_SLOTS,
		.default_hops = exo_limit(default_hops),
		.default_timeout_ms = exo_limit(default_timeout_ms),
		.max_in_flight = exo_limit(max_in_flight),
		.default_in_flight = exo_limit(default_in_flight),
		.max_grants_per_user = exo_limit(max_grants_per_user),
		.max_grace_ms = exo_limit(max_grace_ms),
		.drain_timeout_ms = exo_limit(drain_timeout_ms),
	};
	return 0;
}

static int stats(struct exo_ioctl_call *call)
{
	exo_stats_read(call->arg);
	return 0;
}

static const struct exo_ioctl device_ioctls[] = {
	EXO_IOCTL(EXO_IOC_INFO, offsetof(struct exo_info, default_hops), info),
	EXO_IOCTL(EXO_IOC_ATTACH, sizeof(struct exo_attach), exo_volume_attach),
	EXO_IOCTL(EXO_IOC_GRANT_OPEN, offsetof(struct exo_grant_open, weight), exo_grant_open),
	EXO_IOCTL(EXO_IOC_PROGRAM_FIND, sizeof(struct exo_program_find), exo_program_find),
	EXO_IOCTL(EXO_IOC_LIST, sizeof(struct exo_list), exo_list_ioctl),
	EXO_IOCTL(EXO_IOC_STATS, sizeof(struct exo_stats), stats),
	EXO_IOCTL(EXO_IOC_AUDIT_OPEN, sizeof(struct exo_audit_open), exo_audit_open),
	EXO_IOCTL(EXO_IOC_RELEASE, sizeof(struct exo_release), exo_volume_release),
	EXO_IOCTL(EXO_IOC_REVOKE_ID, sizeof(struct exo_revoke_id), exo_grant_revoke_id),
	EXO_IOCTL(EXO_IOC_SET_CREATE, sizeof(struct exo_set_create), exo_set_create),
	EXO_IOCTL(EXO_IOC_TENANT_SET, sizeof(struct exo_tenant_set), exo_tenant_set),
};

static long device_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	return exo_ioctl_dispatch(device_ioctls, ARRAY_SIZE(device_ioctls), file, command, arg);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "exo",
	.fops = &device_fops,
	.mode = 0666,
};

int __init exo_chardev_init(void)
{
	return misc_register(&device);
}

void exo_chardev_exit(void)
{
	misc_deregister(&device);
}
