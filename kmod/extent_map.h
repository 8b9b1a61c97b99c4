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
 * exo_extent_map_find() - where an offset lies on the device, and how far it goes on there
 * @map: of the file
 * @offset: in the file
 *
 * The hole behind the last extent ends nowhere: its length reaches the largest offset.
 *
 * Context: any. The map is immutable, so no lock is needed while a reference to its pin is held.
 */
static inline struct exo_run exo_extent_map_find(const struct exo_extent_map *map, u64 offset)
{
	const u64 *starts = map->starts;
	struct exo_run run = { 0, 0, true };
	u32 base = 0, n = map->count;
	u64 within;

	if (!n || offset < starts[0]) {
		run.len = (n ? starts[0] : ~0ULL) - offset;
		return run;
	}

	/* Invariant: starts[base] <= offset, and the last such index lies in [base, base + n). */
	while (n > 1) {
		u32 half = n / 2;

		base += starts[base + half] <= offset ? half : 0;
		n -= half;
	}

	within = offset - starts[base];
	if (within < map->lengths[base]) {
		run.len = map->lengths[base] - within;
		run.target = map->targets[base] + within;
		run.hole = false;
	} else {
		run.len = (base + 1 < map->count ? starts[base + 1] : ~0ULL) - offset;
	}
	return run;
}

#endif /* EXO_EXTENT_MAP_H */
