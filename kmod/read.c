// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a read lies: the slot's grant is entered and asked, the pinned file's map says the rest.
 * Runs in any context, hard interrupt included.
 */
#include <linux/blkdev.h>
#include <linux/minmax.h>

#include "cache.h"
#include "extent_map.h"
#include "grant.h"
#include "pin.h"
#include "read.h"
#include "traversal.h"
#include "volume.h"

/* Enters the grant of a slot that the traversal comes to for the first time. */
static enum exo_end enter_slot(struct exo_traversal *t, u32 slot)
{
	struct exo_grant *grant;
	int ret;

	if (slot >= t->slots.count)
		return EXO_END_BAD_SLOT;
	grant = t->slots.grants[slot];
	if (!exo_grant_allows(grant, t->record, t->program_id))
		return EXO_END_DENIED;
	ret = exo_grant_enter(grant);
	switch (ret) {
	case 0:
		t->entered |= BIT_ULL(slot);
		atomic64_inc(&grant->traversals);
		return EXO_END_DONE;
	case -EKEYREVOKED:
		return EXO_END_REVOKED;
	case -EKEYEXPIRED:
		return EXO_END_EXPIRED;
	default:
		return EXO_END_IN_FLIGHT_LIMIT;
	}
}

/**
 * exo_read_next_piece() - find the place of the piece that begins at piece_at
 * @r: placed
 *
 * Context: any.
 */
void exo_read_next_piece(struct exo_read *r)
{
	const struct exo_volume *volume = r->volume;
	struct exo_run run = exo_extent_map_find(&r->grant->pin->map,
						 r->window_start + r->piece_at);

	r->piece_len = min3(run.len, (u64)r->window_len - r->piece_at, (u64)volume->max_read_bytes);
	/* A piece that does not begin where a segment does may take one more. */
	if (unlikely(r->piece_at))
		r->piece_len = min(r->piece_len,
				   volume->segments_bytes - r->piece_at % volume->segment_bytes);
	r->disk_offset = run.target;
	r->hole = run.hole;
}

/**
 * exo_read_place() - check a read and find its first piece
 * @r: with slot, offset and len as the program gave them
 *
 * Context: any; the caller drives the traversal.
 * Return: EXO_END_DONE, or why it must not be read.
 */
enum exo_end exo_read_place(struct exo_read *r)
{
	struct exo_traversal *t = r->traversal;
	enum exo_end refusal;
	u64 mask;

	if (unlikely(r->slot >= EXO_MAX_SLOTS || !(t->entered & BIT_ULL(r->slot)))) {
		refusal = enter_slot(t, r->slot);
		if (refusal != EXO_END_DONE)
			return refusal;
	}
	r->grant = t->slots.grants[r->slot];
	r->volume = r->grant->pin->volume;
	refusal = exo_grant_check_read(r->grant, r->offset, r->len, t->hop_bytes,
				       r->volume->block_bytes);
	if (refusal != EXO_END_DONE)
		return refusal;

	mask = r->volume->block_bytes - 1;
	r->window_start = r->offset & ~mask;
	r->window_len = ((r->offset + r->len + mask) & ~mask) - r->window_start;
	r->piece_at = 0;
	r->read_device = false;
	r->cached = r->grant->pin->cache && exo_cache_get(r);
	if (r->cached)
		r->piece_len = r->window_len;
	else
		exo_read_next_piece(r);
	r->whole = t->plain && !r->cached && !r->hole && r->piece_len == r->window_len &&
		   r->offset + r->len <= r->grant->file_bytes;
	return EXO_END_DONE;
}
