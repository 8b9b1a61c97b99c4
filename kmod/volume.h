/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A volume: a block device that exo holds exclusively, the mount bound to it, and its pins.
 *
 * Lifetime: the device is held from attach until detach, or until the volume fd is closed and no
 * pin is left; the memory until the last pin that refers to it is freed. While the device is held
 * the volume also holds the module, since it may have no fd.
 *
 * Lock order: exo_volumes_lock, then volume->lock, then pin->lock. None of them is held while a device
 * is opened or closed, which may take as long as the device likes.
 */
#ifndef EXO_VOLUME_H
#define EXO_VOLUME_H

#include <linux/blkdev.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/xarray.h>

#include <linux/exo.h>

#include "fair.h"

struct backing_dev_info;
struct exo_ioctl_call;
struct exo_watcher;
struct workqueue_struct;

struct exo_volume {
	/* Set at attach, constant afterwards. */
	u32 id;
	u32 block_bytes;		/* logical block */
	u32 segment_bytes;		/* largest physically contiguous segment the device takes */
	u64 segments_bytes;		/* and all that one request may have, together */
	u32 max_read_bytes;		/* largest piece of a read */
	bool pollable;
	bool shared_tags;		/* all hardware queues have them together */
	bool dispatch_only;		/* no hardware queue of its own that exo could use */
	bool sleeps;			/* its driver may, while it issues */
	u64 size_bytes;
	sector_t start_sector;		/* of the partition, on the whole disk */
	struct block_device *bdev;	/* valid while !gone */
	struct request_queue *queue;	/* valid while !gone */
	struct exo_fair *fair;		/* of the disk; holds a reference */
	struct file *bdev_file;
	struct workqueue_struct *submitters;	/* see workers.h; valid while !gone */
	struct exo_watcher __percpu *watchers;	/* see watch.h */
	bool direct;			/* its driver can be given a read in an interrupt; may fall */
	u8 uuid[EXO_UUID_BYTES];
	char disk_name[EXO_DISK_NAME_BYTES];

	/* Guarded by exo_volumes_lock; read without it for listings. */
	bool claimed;			/* a volume fd is open, or a release is under way */
	/* Written under exo_volumes_lock and lock, so either of them will do to read it. */
	bool gone;			/* the device was let go */

	struct mutex lock;		/* guards what follows */
	struct xarray pins;		/* by inode number */
	u32 pin_count;			/* read without the lock for listings */
	u32 ending;			/* ends under way; no new pin while there are any */
	struct backing_dev_info *mount_bdi;	/* holds a reference; NULL = no mount bound */
	u64 mount_bdi_id;

	struct list_head tenants;	/* guarded by tenant.c */
	atomic64_t grants;		/* open ones */
	struct kref ref;
	struct rcu_head rcu;
};

int exo_volume_attach(struct exo_ioctl_call *call);
int exo_volume_release(struct exo_ioctl_call *call);
struct exo_volume *exo_volume_of_file(struct file *file);
struct exo_volume *exo_volume_find(u32 id);
void exo_volume_get(struct exo_volume *volume);
void exo_volume_put(struct exo_volume *volume);
void exo_volume_fill_entry(const struct exo_volume *volume, struct exo_volume_entry *entry);
u64 exo_volumes_now(void);

extern struct xarray exo_volumes;	/* by id; RCU */

/* Whether the device has been taken away. What is left of it, which we hold, fails everything. */
static inline bool exo_volume_is_dead(const struct exo_volume *volume)
{
	return test_bit(GD_DEAD, &volume->bdev->bd_disk->state);
}

/**
 * exo_volume_error() - what to call a failed read
 * @volume: whose device is held
 * @error: as the block layer said it
 *
 * A device that has gone is noticed in several places, each of which has a name of its own for it.
 *
 * Context: any.
 */
static inline int exo_volume_error(const struct exo_volume *volume, int error)
{
	return exo_volume_is_dead(volume) ? -ENODEV : error;
}

#endif /* EXO_VOLUME_H */
