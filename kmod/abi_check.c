// SPDX-License-Identifier: GPL-2.0-only
/* Compiles the list of sizes and offsets with the module's own compiler; no code. */
#include <linux/exo_assert.h>
