/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The node cache of a pin: copies of the blocks that traversals come to most often, which are the
 * upper nodes of an index. A pinned file does not change, so a copy is right for as long as the pin
 * lives, and goes with it. Off unless the administrator gives it room.
 */
#ifndef EXO_CACHE_H
#define EXO_CACHE_H

#include <linux/types.h>

struct exo_cache;
struct exo_read;

struct exo_cache *exo_cache_create(u64 file_bytes);
void exo_cache_free(struct exo_cache *cache);
bool exo_cache_get(struct exo_read *read);
void exo_cache_put(const struct exo_read *read);

#endif /* EXO_CACHE_H */
