/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The immutable map of one pinned file: file offset to offset on the device, bounds proven. Pure
 * code that also compiles in user space, where its tests run; who may read what is left to grant.h.
 */
#ifndef EXO_EXTENT_MAP_H
#define EXO_EXTENT_MAP_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "extent_map_host.h"
#endif

struct exo_extent;

/*
 * Extent i covers file bytes [starts[i], starts[i] + lengths[i]) and begins at targets[i] on the
 * device. Only starts is searched, so it lies by itself: 8 entries per cache line.
 */
struct exo_extent_map {
	u32 count;
	const u64 *starts;
	const u64 *lengths;
	const u64 *targets;
};

enum exo_place {
	EXO_PLACE_DISK,			/* in one extent */
	EXO_PLACE_HOLE,			/* in no extent */
	EXO_PLACE_SPLIT,		/* partly in one extent, partly in another or in none */
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
 * exo_extent_map_find() - where a read lies on the device
 * @map: of the file
 * @offset: in the file
 * @len: of the read, more than 0; offset + len does not overflow
 * @target: offset on the device, set for EXO_PLACE_DISK only
 *
 * Context: any. The map is immutable, so no lock is needed while a reference to its pin is held.
 */
static inline enum exo_place exo_extent_map_find(const struct exo_extent_map *map, u64 offset,
						 u32 len, u64 *target)
{
	const u64 *starts = map->starts;
	u32 base = 0, n = map->count;
	u64 within;

	if (!n || offset < starts[0])
		return !n || offset + len <= starts[0] ? EXO_PLACE_HOLE : EXO_PLACE_SPLIT;

	/* Invariant: starts[base] <= offset, and the last such index lies in [base, base + n). */
	while (n > 1) {
		u32 half = n / 2;

		base += starts[base + half] <= offset ? half : 0;
		n -= half;
	}

	within = offset - starts[base];
	if (within < map->lengths[base]) {
		if (len > map->lengths[base] - within)
			return EXO_PLACE_SPLIT;
		*target = map->targets[base] + within;
		return EXO_PLACE_DISK;
	}
	if (base + 1 < map->count && starts[base + 1] - offset < len)
		return EXO_PLACE_SPLIT;
	return EXO_PLACE_HOLE;
}

#endif /* EXO_EXTENT_MAP_H */
