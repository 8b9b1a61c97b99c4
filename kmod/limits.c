// SPDX-License-Identifier: GPL-2.0-only
/* The bounds of limits.h that an administrator can set, as module parameters. */
#include <linux/cache.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "limits.h"

static int set_limit(const char *text, const struct kernel_param *param)
{
	const struct exo_limit *limit = param->arg;

	return param_set_uint_minmax(text, param, limit->least, limit->most);
}

static const struct kernel_param_ops limit_ops = {
	.set = set_limit,
	.get = param_get_uint,
};

#define LIMIT(_name, _default, _least, _most, _what)				\
	struct exo_limit exo_limit_##_name __read_mostly = {			\
		.value = (_default), .least = (_least), .most = (_most),	\
	};									\
	module_param_cb(_name, &limit_ops, &exo_limit_##_name, 0644);		\
	MODULE_PARM_DESC(_name, _what)

LIMIT(default_hops, EXO_DEFAULT_HOPS, 1, EXO_MAX_HOPS,
	"Hop limit of a grant that does not ask for one");
LIMIT(max_hops, EXO_MAX_HOPS, 1, EXO_MAX_HOPS,
	"Highest hop limit of a traversal, whatever its grant says");
LIMIT(default_timeout_ms, EXO_DEFAULT_TIMEOUT_MS, 1, EXO_MAX_TIMEOUT_MS,
	"Milliseconds of a traversal that does not ask for a time");
LIMIT(max_timeout_ms, EXO_MAX_TIMEOUT_MS, 1, EXO_MAX_TIMEOUT_MS,
	"Longest time of a traversal, in milliseconds");
LIMIT(default_in_flight, EXO_DEFAULT_IN_FLIGHT, 1, EXO_MAX_IN_FLIGHT,
	"Traversals at once on a grant that does not ask for a limit");
LIMIT(max_in_flight, EXO_MAX_IN_FLIGHT, 1, EXO_MAX_IN_FLIGHT,
	"Most traversals at once on a grant, whatever it says");
LIMIT(max_grants_per_user, EXO_DEFAULT_GRANTS_PER_USER, 1, EXO_MAX_GRANTS_PER_USER,
	"Grants that one user may have open");
LIMIT(max_grace_ms, EXO_MAX_GRACE_MS, 0, EXO_MAX_GRACE_MS,
	"Longest grace period of a revocation, in milliseconds");
LIMIT(drain_timeout_ms, EXO_DEFAULT_DRAIN_TIMEOUT_MS, 1, EXO_MAX_DRAIN_TIMEOUT_MS,
	"Milliseconds that a revocation waits for reads in flight before it fails with ETIMEDOUT");
LIMIT(fair_depth, EXO_DEFAULT_FAIR_DEPTH, 1, EXO_MAX_FAIR_DEPTH,
	"Reads that a volume's device is given at once while tenants share it: more keeps a deep device busier, fewer bring a light tenant's next read to the front sooner");
LIMIT(fair_keep_us, EXO_DEFAULT_FAIR_KEEP_US, 0, EXO_MAX_FAIR_KEEP_US,
	"Microseconds for which a place in the device is kept for a tenant that has got less than its part and whose read has completed; 0 keeps none");
LIMIT(node_cache_blocks, 0, 0, EXO_MAX_CACHE_BLOCKS,
	"Blocks of 4 KiB that are kept in memory of each file pinned from now on, charged to whoever pins it (default 0)");
