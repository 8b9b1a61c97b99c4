// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks the extents of a pin and lays them out for the search. Memory and user copies are left to
 * pin.c, so that this file compiles and is tested in user space too.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/overflow.h>
#endif
#include <linux/exo.h>

#include "extent_map.h"

/* Many enough that most hold the beginning of no extent. */
#define BUCKETS_PER_EXTENT	4

static u64 most_buckets(u32 count)
{
	return (u64)BUCKETS_PER_EXTENT * (count ? count : 1);
}

/**
 * exo_extent_map_bytes() - memory that exo_extent_map_build() needs
 * @count: extents, at most EXO_MAX_EXTENTS
 */
size_t exo_extent_map_bytes(u32 count)
{
	return ((size_t)count + 2) * sizeof(struct exo_extent) +
	       (most_buckets(count) + 1) * sizeof(u32);
}

/**
 * exo_extent_map_check() - check extents one by one and their order in the file
 * @extents: as the daemon gave them
 * @count: of @extents
 * @limits: of the file and the device
 *
 * Overlap on the device is left to exo_extent_map_check_device_order().
 */
enum exo_extent_fault exo_extent_map_check(const struct exo_extent *extents, u32 count,
					   const struct exo_extent_limits *limits)
{
	u64 mask = limits->block_bytes - 1;
	/* Rounding up cannot overflow: the caller bounds file_bytes by the largest file offset. */
	u64 file_end = (limits->file_bytes + mask) & ~mask;
	u64 last_end = 0;

	for (u32 i = 0; i < count; i++) {
		const struct exo_extent *e = &extents[i];

		if (!e->length)
			return EXO_EXTENT_EMPTY;
		if ((e->file_offset | e->disk_offset | e->length) & mask)
			return EXO_EXTENT_MISALIGNED;
		if (e->length > file_end || e->file_offset > file_end - e->length)
			return EXO_EXTENT_OUTSIDE_FILE;
		if (e->length > limits->device_bytes ||
		    e->disk_offset > limits->device_bytes - e->length)
			return EXO_EXTENT_OUTSIDE_DEVICE;
		if (e->file_offset < last_end)
			return EXO_EXTENT_UNSORTED;
		last_end = e->file_offset + e->length;
	}
	return EXO_EXTENT_OK;
}

/* Orders extents by their place on the device, for sort(). */
int exo_extent_compare_device(const void *a, const void *b)
{
	const struct exo_extent *x = a, *y = b;

	if (x->disk_offset == y->disk_offset)
		return 0;
	return x->disk_offset < y->disk_offset ? -1 : 1;
}

/**
 * exo_extent_map_check_device_order() - check that no block of the device is used twice
 * @sorted: checked extents in order of disk_offset
 * @count: of @sorted
 */
enum exo_extent_fault exo_extent_map_check_device_order(const struct exo_extent *sorted, u32 count)
{
	for (u32 i = 1; i < count; i++) {
		if (sorted[i].disk_offset - sorted[i - 1].disk_offset < sorted[i - 1].length)
			return EXO_EXTENT_DEVICE_OVERLAP;
	}
	return EXO_EXTENT_OK;
}

/*
 * Copies extents, those that continue each other as one, between the two that bound the search.
 * Returns the index of the last one.
 */
static u32 copy_merged(struct exo_extent *to, const struct exo_extent *extents, u32 count)
{
	struct exo_extent *last = to;

	*last = (struct exo_extent){ 0 };
	for (u32 i = 0; i < count; i++) {
		const struct exo_extent *e = &extents[i];

		if (last->length && last->file_offset + last->length == e->file_offset &&
		    last->disk_offset + last->length == e->disk_offset) {
			last->length += e->length;
			continue;
		}
		/* The first of them takes the place of the one before, unless a hole does. */
		if (i || e->file_offset)
			last++;
		*last = *e;
	}
	last[1] = (struct exo_extent){ .file_offset = ~0ULL };
	return last - to;
}

/**
 * exo_extent_map_build() - lay checked extents out for the search
 * @map: filled
 * @memory: exo_extent_map_bytes(@count) bytes that live as long as @map
 * @extents: checked, in file order
 * @count: of @extents
 *
 * Extents that continue each other in the file and on the device become one, so that a read across
 * them is one read.
 */
void exo_extent_map_build(struct exo_extent_map *map, void *memory,
			  const struct exo_extent *extents, u32 count)
{
	struct exo_extent *to = memory;
	u32 *buckets = (u32 *)(to + count + 2);
	u32 last = copy_merged(to, extents, count);
	u32 shift = 0, at = 0;

	while (to[last].file_offset >> shift >= most_buckets(count))
		shift++;
	map->extents = to;
	map->buckets = buckets;
	map->last_bucket = to[last].file_offset >> shift;
	map->bucket_shift = shift;
	map->count = last + !!to->length;

	for (u64 bucket = 0; bucket <= map->last_bucket; bucket++) {
		while (to[at + 1].file_offset <= bucket << shift)
			at++;
		buckets[bucket] = at;
	}
	buckets[map->last_bucket + 1] = last;
}
