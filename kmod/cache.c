// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of blocks with one place for each, without a lock: a reader copies and then looks whether
 * somebody wrote meanwhile, a writer who finds another one there leaves it to him. A block takes the
 * place of another one only after the other has been passed by as often as it was used, so that
 * leaves, which come once, do not push out the nodes above them.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "cache.h"
#include "limits.h"
#include "pin.h"
#include "grant.h"
#include "read.h"
#include "volume.h"

/* Nobody is to be killed for want of memory that can be done without. */
#define EXO_CACHE_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

struct cache_node {
	u32 version;			/* odd while somebody writes */
	u32 used;			/* how often, less how often others came by */
	u32 len;			/* of the block; 0 = none */
	u64 start;			/* of the block, in the file */
};

struct exo_cache {
	u32 bits;			/* of the number of nodes */
	struct cache_node *nodes;
	u8 *blocks;			/* EXO_CACHE_BLOCK_BYTES for each node */
};

/**
 * exo_cache_create() - the cache for a new pin
 * @file_bytes: of the file; no more than that is kept
 *
 * Context: process, may sleep.
 * Return: the cache; NULL if there shall be none, or no memory for it, which is no reason to fail.
 */
struct exo_cache *exo_cache_create(u64 file_bytes)
{
	u64 blocks = min_t(u64, exo_limit(node_cache_blocks),
			   DIV_ROUND_UP_ULL(file_bytes, EXO_CACHE_BLOCK_BYTES));
	struct exo_cache *cache;

	if (!blocks)
		return NULL;
	cache = kzalloc(sizeof(*cache), EXO_CACHE_GFP);
	if (!cache)
		return NULL;
	cache->bits = ilog2(blocks);
	cache->nodes = kvcalloc(BIT(cache->bits), sizeof(*cache->nodes), EXO_CACHE_GFP);
	cache->blocks = kvcalloc(BIT(cache->bits), EXO_CACHE_BLOCK_BYTES, EXO_CACHE_GFP);
	if (cache->nodes && cache->blocks)
		return cache;
	exo_cache_free(cache);
	return NULL;
}

/**
 * exo_cache_free() - free a cache that nobody uses any more
 * @cache: or NULL
 *
 * Context: process.
 */
void exo_cache_free(struct exo_cache *cache)
{
	if (!cache)
		return;
	kvfree(cache->nodes);
	kvfree(cache->blocks);
	kfree(cache);
}

static u32 place_of(const struct exo_cache *cache, u64 start)
{
	return cache->bits ? hash_64(start, cache->bits) : 0;
}

/**
 * exo_cache_get() - answer a read from the cache
 * @r: placed, at its first piece; its buffer is filled
 *
 * Context: any.
 * Return: whether the blocks of the read were there; otherwise the buffer may hold anything.
 */
bool exo_cache_get(struct exo_read *r)
{
	const struct exo_cache *cache = r->grant->pin->cache;
	struct cache_node *node;
	u32 version, index;

	index = place_of(cache, r->window_start);
	node = &cache->nodes[index];
	version = READ_ONCE(node->version);
	/* The version comes before what it is the version of. */
	smp_rmb();
	if (version & 1 || READ_ONCE(node->start) != r->window_start ||
	    READ_ONCE(node->len) != r->window_len)
		return false;
	memcpy(r->buffer, cache->blocks + (size_t)index * EXO_CACHE_BLOCK_BYTES, r->window_len);
	/* And the copy before the second look at it. */
	smp_rmb();
	if (READ_ONCE(node->version) != version)
		return false;
	/* Counted without a lock: that some get lost does not matter. */
	WRITE_ONCE(node->used, min(READ_ONCE(node->used) + 1, EXO_CACHE_MOST_USED));
	return true;
}

/**
 * exo_cache_put() - keep what a read has found on the device, if it is worth it
 * @r: whose blocks are all in its buffer, as the device gave them
 *
 * Context: any.
 */
void exo_cache_put(const struct exo_read *r)
{
	const struct exo_cache *cache = r->grant->pin->cache;
	struct cache_node *node;
	u32 version, used, index;

	if (r->window_len > EXO_CACHE_BLOCK_BYTES)
		return;
	index = place_of(cache, r->window_start);
	node = &cache->nodes[index];
	used = READ_ONCE(node->used);
	if (used) {
		WRITE_ONCE(node->used, used - 1);
		return;
	}
	version = READ_ONCE(node->version);
	if (version & 1 || cmpxchg(&node->version, version, version + 1) != version)
		return;
	WRITE_ONCE(node->start, r->window_start);
	WRITE_ONCE(node->len, r->window_len);
	memcpy(cache->blocks + (size_t)index * EXO_CACHE_BLOCK_BYTES, r->buffer, r->window_len);
	WRITE_ONCE(node->used, 1);
	/* What it is the version of comes before the version. */
	smp_store_release(&node->version, version + 2);
}
