// SPDX-License-Identifier: GPL-2.0-only
/* Loading and unloading of exo.ko: each part in order, and back in reverse. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "audit.h"
#include "chardev.h"
#include "kfuncs.h"
#include "program_ops.h"
#include "traverse.h"
#include "watch.h"

static int __init exo_init(void)
{
	int ret;

	ret = exo_audit_init();
	if (ret)
		return ret;
	ret = exo_traverse_init();
	if (ret)
		goto err_audit;
	ret = exo_watch_init();
	if (ret)
		goto err_traverse;
	/*
	 * Neither of the two is undone by hand: the module's type information goes with the module.
	 */
	ret = exo_kfuncs_init();
	if (ret)
		goto err_watch;
	ret = exo_program_init();
	if (ret)
		goto err_watch;
	ret = exo_chardev_init();
	if (ret)
		goto err_watch;
	return 0;

err_watch:
	exo_watch_exit();
err_traverse:
	exo_traverse_exit();
err_audit:
	exo_audit_exit();
	return ret;
}

static void __exit exo_exit(void)
{
	exo_chardev_exit();
	exo_watch_exit();
	exo_traverse_exit();
	exo_audit_exit();
	/* The last of a program's users is counted in one callback, which queues the one that frees it. */
	rcu_barrier();
	rcu_barrier();
}

module_init(exo_init);
module_exit(exo_exit);
MODULE_DESCRIPTION("exo: reads of pinned extents by BPF programs at the drive's completion");
MODULE_LICENSE("GPL");
