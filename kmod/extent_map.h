/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The immutable map of one pinned file: file offset to offset on the device, bounds proven. Pure
 * code that also compiles in user space, where its tests run; who may read what is left to grant.h.
 */
#ifndef EXO_EXTENT_MAP_H
#define EXO_EXTENT_MAP_H

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/types.h>
#else
#include "host_types.h"
#endif

#include <linux/exo.h>

/*
 * The file is cut into equal buckets, about four for each extent, and buckets[b] is the last extent
 * that begins at or before bucket b. So an offset's extent is known but for those that begin within
 * its bucket, mostly none. buckets has one more entry for the end, which is the last extent.
 *
 * The extents are in order of file_offset. Before them stands one of length 0 at offset 0 if the
 * file begins with a hole, and behind them one that no offset reaches.
 */
struct exo_extent_map {
	const struct exo_extent *extents;
	const u32 *buckets;
	u64 last_bucket;		/* the last extent begins in it */
	u32 bucket_shift;
	u32 count;			/* of real extents */
};

/* Bytes of a file that follow each other on the device, or lie in no extent. */
struct exo_run {
	u64 len;			/* from the offset that was asked for on */
	u64 target;			/* offset on the device */
	bool hole;			/* then there is no target */
};

struct exo_extent_limits {
	u64 file_bytes;
	u64 device_bytes;
	u32 block_bytes;		/* logical block, a power of two */
};

/* What exo_extent_map_check() found wrong. */
enum exo_extent_fault {
	EXO_EXTENT_OK = 0,
	EXO_EXTENT_EMPTY,
	EXO_EXTENT_MISALIGNED,
	EXO_EXTENT_OUTSIDE_FILE,
	EXO_EXTENT_OUTSIDE_DEVICE,
	EXO_EXTENT_UNSORTED,
	EXO_EXTENT_DEVICE_OVERLAP,
};

size_t exo_extent_map_bytes(u32 count);
enum exo_extent_fault exo_extent_map_check(const struct exo_extent *extents, u32 count,
					   const struct exo_extent_limits *limits);
enum exo_extent_fault exo_extent_map_check_device_order(const struct exo_extent *sorted, u32 count);
int exo_extent_compare_device(const void *a, const void *b);
void exo_extent_map_build(struct exo_extent_map *map, void *memory,
			  const struct exo_extent *extents, u32 count);

/**
 * exo_extent_map_last_before() - the last extent that begins at or before an offset
 * @map: of the file
 * @offset: in the file
 *
 * Takes about as long for a million extents as for ten, and a binary search's steps more only where
 * extents crowd in a small part of the file.
 *
 * Context: any. The map is immutable, so no lock is needed while a reference to its pin is held.
 */
static __always_inline const struct exo_extent *
exo_extent_map_last_before(const struct exo_extent_map *map, u64 offset)
{
	const struct exo_extent *e = map->extents;
	u64 bucket = offset >> map->bucket_shift;
	u32 first, more;

	if (bucket > map->last_bucket)
		bucket = map->last_bucket;
	first = map->buckets[bucket];
	more = map->buckets[bucket + 1] - first;
	e += first;

	/* Invariant: e[0] begins at or before the offset, and the last such extent is in e[0..more]. */
	while (more) {
		u32 half = (more + 1) / 2;

		if (e[half].file_offset <= offset)
			e += half;
		more -= half;
	}
	return e;
}

/**
 * exo_extent_map_find() - where an offset lies on the device, and how far it goes on there
 * @map: of the file
 * @offset: in the file
 *
 * The hole behind the last extent ends nowhere: its length reaches the largest offset.
 *
 * Context: any, as above.
 */
static __always_inline struct exo_run exo_extent_map_find(const struct exo_extent_map *map, u64 offset)
{
	const struct exo_extent *e = exo_extent_map_last_before(map, offset);
	u64 within = offset - e->file_offset;

	if (within < e->length)
		return (struct exo_run){ e->length - within, e->disk_offset + within, false };
	return (struct exo_run){ e[1].file_offset - offset, 0, true };
}

#endif /* EXO_EXTENT_MAP_H */
