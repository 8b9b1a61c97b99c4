// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attach and detach of block devices, the volume fd, and the binding of a mount. What a pin is and
 * how it ends is left to pin.c.
 */
#include <linux/backing-dev.h>
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "audit.h"
#include "ioctl.h"
#include "limits.h"
#include "pin.h"
#include "request.h"
#include "volume.h"
#include "watch.h"
#include "workers.h"

DEFINE_XARRAY_ALLOC1(exo_volumes);

/* Guards claimed of every volume and the change of exo_volumes; gone together with volume->lock. */
static DEFINE_MUTEX(exo_volumes_lock);
static u32 next_volume_id;

static void audit_volume(const struct exo_volume *volume, u32 type, int error)
{
	exo_audit(&(struct exo_audit_event){
		.type = type,
		.error = error,
		.volume_id = volume->id,
		.length = volume->size_bytes,
	});
}

void exo_volume_get(struct exo_volume *volume)
{
	kref_get(&volume->ref);
}

static void volume_free(struct kref *ref)
{
	struct exo_volume *volume = container_of(ref, struct exo_volume, ref);

	exo_watch_free_volume(volume);
	xa_destroy(&volume->pins);
	exo_fair_put(volume->fair);
	kfree_rcu(volume, rcu);
}

/**
 * exo_volume_put() - drop a reference to a volume's memory
 * @volume: whose device may long have been let go
 *
 * Context: any.
 */
void exo_volume_put(struct exo_volume *volume)
{
	kref_put(&volume->ref, volume_free);
}

u64 exo_volumes_now(void)
{
	struct exo_volume *volume;
	unsigned long id;
	u64 count = 0;

	rcu_read_lock();
	xa_for_each(&exo_volumes, id, volume)
		count++;
	rcu_read_unlock();
	return count;
}

/* Of a volume without pins no read is in flight, and none can start; the same lock keeps new ones out. */
static int forget(struct exo_volume *volume)
{
	struct backing_dev_info *bdi;

	lockdep_assert_held(&exo_volumes_lock);
	if (volume->gone)
		return -ENODEV;
	mutex_lock(&volume->lock);
	if (volume->pin_count) {
		mutex_unlock(&volume->lock);
		return -EBUSY;
	}
	WRITE_ONCE(volume->gone, true);
	bdi = volume->mount_bdi;
	volume->mount_bdi = NULL;
	mutex_unlock(&volume->lock);

	xa_erase(&exo_volumes, volume->id);
	exo_tenants_drop(volume);
	if (bdi)
		bdi_put(bdi);
	audit_volume(volume, EXO_AUDIT_VOLUME_DETACH, 0);
	return 0;
}

/*
 * Lets the device go, once, unless there are pins; and before that the caller's claim, if he has one.
 * He holds, through a file of ours, the module.
 */
static int let_go(struct exo_volume *volume, bool claimed)
{
	int ret;

	mutex_lock(&exo_volumes_lock);
	if (claimed)
		WRITE_ONCE(volume->claimed, false);
	ret = forget(volume);
	mutex_unlock(&exo_volumes_lock);
	if (ret)
		return ret;
	exo_watch_end_volume(volume);
	exo_workers_end_volume(volume);
	exo_fair_detach(volume->fair);
	bdev_fput(volume->bdev_file);
	exo_volume_put(volume);
	module_put(THIS_MODULE);
	return 0;
}

/* The same after exo_pin_end_all(), which has kept new pins out since. */
static int let_go_ended(struct exo_volume *volume, bool claimed)
{
	int ret = let_go(volume, claimed);

	if (ret)
		exo_pin_end_cancel(volume);
	return ret;
}

/* ---- the volume fd ---- */

static int bind_mount(struct exo_ioctl_call *call)
{
	const struct exo_bind_mount *arg = call->arg;
	struct exo_volume *volume = call->file->private_data;
	struct backing_dev_info *bdi;
	struct super_block *sb;

	if (arg->flags)
		return -EINVAL;
	/* Any descriptor that names the mount will do, also one opened with O_PATH. */
	struct file *file __free(fput) = fget_raw(arg->mount_fd);

	if (!file)
		return -EBADF;

	/*
	 * A superblock's bdi names a mount for ever: every FUSE mount makes its own, and our
	 * reference keeps its address from being used again. A reference to the superblock would
	 * keep umount from finishing. The shared no-op bdi would name half the mounts of the
	 * system.
	 */
	sb = file_inode(file)->i_sb;
	bdi = sb->s_bdi;
	if (sb->s_magic != FUSE_SUPER_MAGIC || bdi == &noop_backing_dev_info)
		return -EINVAL;

	guard(mutex)(&volume->lock);
	if (volume->gone || volume->ending)
		return -ENODEV;
	bdi_get(bdi);
	if (volume->mount_bdi)
		bdi_put(volume->mount_bdi);
	volume->mount_bdi = bdi;
	volume->mount_bdi_id = bdi->id;
	audit_volume(volume, EXO_AUDIT_MOUNT_BIND, 0);
	return 0;
}

static int detach(struct exo_ioctl_call *call)
{
	const struct exo_detach *arg = call->arg;
	struct exo_volume *volume = call->file->private_data;
	int ret;

	if (arg->flags)
		return -EINVAL;
	ret = exo_pin_end_all(volume, arg->grace_ms);
	if (ret)
		return ret;
	return let_go_ended(volume, false);
}

static const struct exo_ioctl volume_ioctls[] = {
	EXO_IOCTL(EXO_VOLUME_BIND_MOUNT, sizeof(struct exo_bind_mount), bind_mount),
	EXO_IOCTL(EXO_VOLUME_PIN, sizeof(struct exo_pin), exo_pin_register),
	EXO_IOCTL(EXO_VOLUME_UNPIN, sizeof(struct exo_unpin), exo_pin_unregister),
	EXO_IOCTL(EXO_VOLUME_DETACH, sizeof(struct exo_detach), detach),
};

static long volume_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	return exo_ioctl_dispatch(volume_ioctls, ARRAY_SIZE(volume_ioctls), file, command, arg);
}

static int volume_close(struct inode *inode, struct file *file)
{
	struct exo_volume *volume = file->private_data;

	/* Pins keep it. */
	let_go(volume, true);
	exo_volume_put(volume);
	return 0;
}

static const struct file_operations volume_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = volume_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = volume_close,
};

/* ---- attach ---- */

static enum exo_refused why_refused(struct block_device *bdev)
{
	if (bdev_is_zoned(bdev))
		return EXO_REFUSED_ZONED;
	if (bdev_get_integrity(bdev))
		return EXO_REFUSED_INTEGRITY;
	if (bdev_logical_block_size(bdev) > EXO_MAX_LOGICAL_BLOCK_BYTES)
		return EXO_REFUSED_BLOCK_SIZE;
	/* The pieces of a read lie in its buffer at multiples of a logical block. */
	if (queue_dma_alignment(bdev_get_queue(bdev)) >= bdev_logical_block_size(bdev))
		return EXO_REFUSED_ALIGNMENT;
	if (bdev_nr_bytes(bdev) < bdev_logical_block_size(bdev))
		return EXO_REFUSED_NO_SIZE;
	return EXO_REFUSED_NOT;
}

static int check_device(struct block_device *bdev, u32 *refused)
{
	static const char * const reasons[] = {
		[EXO_REFUSED_ZONED] = "it is zoned",
		[EXO_REFUSED_INTEGRITY] = "it keeps integrity data with each block",
		[EXO_REFUSED_BLOCK_SIZE] = "its logical blocks are too large",
		[EXO_REFUSED_ALIGNMENT] = "it wants buffers aligned to more than a block",
		[EXO_REFUSED_NO_SIZE] = "it has no blocks",
	};

	*refused = why_refused(bdev);
	if (*refused == EXO_REFUSED_NOT)
		return 0;
	pr_info("exo: cannot attach %pg: %s\n", bdev, reasons[*refused]);
	return -EOPNOTSUPP;
}

/*
 * No hardware queue (a multipath head, device mapper, md), or a driver that passes requests on to
 * other queues. Loop has files, and reads as others.
 */
static bool dispatch_only(struct block_device *bdev)
{
	struct request_queue *queue = bdev_get_queue(bdev);

	return !queue_is_mq(queue) || (queue->tag_set->flags & BLK_MQ_F_STACKING &&
				       bdev->bd_disk->major != LOOP_MAJOR);
}

static void read_geometry(struct exo_volume *volume)
{
	struct block_device *bdev = volume->bdev;
	struct request_queue *queue = bdev_get_queue(bdev);
	const u64 most_bytes = roundup_pow_of_two(EXO_MAX_HOP_BYTES);
	u64 segment_bytes = queue_max_segment_size(queue);
	u64 read_bytes;

	/*
	 * A read's buffer is one physically contiguous run, aligned to the power of two that it fits
	 * into. So are segments that are a power of two themselves and begin at multiples of it: they
	 * cross no boundary, and those that the block layer makes, which begin where a piece does, are
	 * not more. A boundary below a page is impossible.
	 */
	segment_bytes = min_not_zero(segment_bytes, (u64)queue_segment_boundary(queue) + 1);
	segment_bytes = min(rounddown_pow_of_two(segment_bytes), most_bytes);
	volume->segments_bytes = segment_bytes * queue_max_segments(queue);
	read_bytes = min3(volume->segments_bytes, (u64)queue_max_sectors(queue) << SECTOR_SHIFT,
			  (u64)EXO_MAX_HOP_BYTES);

	volume->queue = queue;
	volume->block_bytes = bdev_logical_block_size(bdev);
	volume->segment_bytes = segment_bytes;
	volume->max_read_bytes = round_down(read_bytes, volume->block_bytes);
	volume->size_bytes = bdev_nr_bytes(bdev);
	volume->start_sector = bdev->bd_start_sect;
	volume->dispatch_only = dispatch_only(bdev);
	volume->sleeps = !volume->dispatch_only && queue->tag_set->flags & BLK_MQ_F_BLOCKING;
	volume->direct = !volume->dispatch_only && exo_request_volume_direct(queue);
	volume->pollable = !volume->dispatch_only &&
			   queue->limits.features & BLK_FEAT_POLL &&
			   queue->tag_set->nr_maps > HCTX_TYPE_POLL &&
			   queue->tag_set->map[HCTX_TYPE_POLL].nr_queues;
	volume->shared_tags = queue_is_mq(queue) &&
			      queue->tag_set->flags & BLK_MQ_F_TAG_HCTX_SHARED;
	snprintf(volume->disk_name, sizeof(volume->disk_name), "%pg", bdev);
}

/* Shows a volume to others, as the caller's. */
static int publish(struct exo_volume *volume)
{
	int ret;

	guard(mutex)(&exo_volumes_lock);
	volume->claimed = true;
	ret = xa_insert(&exo_volumes, volume->id, volume, GFP_KERNEL_ACCOUNT);
	if (!ret)
		__module_get(THIS_MODULE);
	return ret;
}

/*
 * Opening may take as long as the device likes, so others are not kept waiting for it. Nobody has
 * attached the same device meanwhile: it is opened exclusively.
 */
static struct exo_volume *volume_create(dev_t dev, const u8 *uuid, u32 id, u32 *refused)
{
	struct exo_volume *volume;
	int ret;

	volume = kzalloc(sizeof(*volume), GFP_KERNEL_ACCOUNT);
	if (!volume)
		return ERR_PTR(-ENOMEM);
	kref_init(&volume->ref);
	mutex_init(&volume->lock);
	xa_init(&volume->pins);
	INIT_LIST_HEAD(&volume->tenants);
	memcpy(volume->uuid, uuid, EXO_UUID_BYTES);
	volume->id = id;

	ret = exo_watch_begin_volume(volume);
	if (ret)
		goto err_free;
	volume->bdev_file = bdev_file_open_by_dev(dev, BLK_OPEN_READ | BLK_OPEN_WRITE, volume,
						  NULL);
	if (IS_ERR(volume->bdev_file)) {
		ret = PTR_ERR(volume->bdev_file);
		goto err_free;
	}
	volume->bdev = file_bdev(volume->bdev_file);
	ret = check_device(volume->bdev, refused);
	if (ret)
		goto err_close;
	read_geometry(volume);
	ret = exo_workers_begin_volume(volume);
	if (ret)
		goto err_close;
	ret = -ENOMEM;
	volume->fair = exo_fair_attach(volume->queue);
	if (!volume->fair)
		goto err_workers;
	ret = publish(volume);
	if (ret)
		goto err_fair;
	return volume;

err_fair:
	exo_fair_detach(volume->fair);
	exo_fair_put(volume->fair);
err_workers:
	exo_workers_end_volume(volume);
err_close:
	bdev_fput(volume->bdev_file);
err_free:
	exo_watch_free_volume(volume);
	kfree(volume);
	return ERR_PTR(ret);
}

static struct exo_volume *find_by_device(const struct block_device *bdev)
{
	struct exo_volume *volume;
	unsigned long id;

	lockdep_assert_held(&exo_volumes_lock);
	xa_for_each(&exo_volumes, id, volume) {
		if (volume->bdev == bdev)
			return volume;
	}
	return NULL;
}

/*
 * Claims the volume that a device is already attached as. Else NULL, and the id of the volume to be:
 * ids are not used again, so that a listing never shows one volume under another's.
 */
static struct exo_volume *claim_attached(const struct block_device *bdev, const u8 *uuid, u32 *id)
{
	struct exo_volume *volume;

	guard(mutex)(&exo_volumes_lock);
	volume = find_by_device(bdev);
	if (!volume) {
		if (next_volume_id == U32_MAX)
			return ERR_PTR(-ENOSPC);
		*id = ++next_volume_id;
		return NULL;
	}
	if (volume->claimed)
		return ERR_PTR(-EBUSY);
	if (memcmp(volume->uuid, uuid, EXO_UUID_BYTES))
		return ERR_PTR(-EEXIST);
	WRITE_ONCE(volume->claimed, true);
	return volume;
}

/**
 * exo_volume_attach() - serve EXO_IOC_ATTACH
 * @call: argument struct exo_attach
 *
 * Context: process, may sleep.
 */
int exo_volume_attach(struct exo_ioctl_call *call)
{
	struct exo_attach *arg = call->arg;
	struct exo_volume *volume;
	struct inode *inode;
	bool reattached;
	u32 id;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (arg->flags || arg->refused || !memchr_inv(arg->uuid, 0, EXO_UUID_BYTES))
		return -EINVAL;

	CLASS(fd, f)(arg->device_fd);
	if (!fd_file(f))
		return -EBADF;
	inode = file_inode(fd_file(f));
	if (!S_ISBLK(inode->i_mode))
		return -ENOTBLK;
	if ((fd_file(f)->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE))
		return -EBADF;

	/* Compared by object: while we hold the device open it is not replaced behind its number. */
	volume = claim_attached(I_BDEV(fd_file(f)->f_mapping->host), arg->uuid, &id);
	reattached = volume;
	if (!volume) {
		volume = volume_create(inode->i_rdev, arg->uuid, id, &arg->refused);
		if (arg->refused)
			call->answers = true;
	}
	if (IS_ERR(volume))
		return PTR_ERR(volume);

	/* The claim keeps it for us. */
	ret = exo_ioctl_new_fd(call, "[exo-volume]", &volume_fops, volume, O_RDWR);
	if (ret) {
		let_go(volume, true);
		return ret;
	}
	/* From here on volume_close() undoes it all, also when the answer cannot be copied out. */
	exo_volume_get(volume);

	arg->volume_id = volume->id;
	arg->logical_block_bytes = volume->block_bytes;
	arg->size_bytes = volume->size_bytes;
	arg->out_flags = reattached ? EXO_ATTACH_REATTACHED : 0;
	audit_volume(volume, EXO_AUDIT_VOLUME_ATTACH, 0);
	return 0;
}

/**
 * exo_volume_release() - serve EXO_IOC_RELEASE
 * @call: argument struct exo_release
 *
 * Context: process, may sleep.
 */
int exo_volume_release(struct exo_ioctl_call *call)
{
	const struct exo_release *arg = call->arg;
	struct exo_volume *volume;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	/* Claimed like by a daemon, so that none can attach meanwhile. */
	mutex_lock(&exo_volumes_lock);
	volume = xa_load(&exo_volumes, arg->volume_id);
	ret = !volume ? -ENOENT : volume->claimed ? -EBUSY : 0;
	if (!ret) {
		WRITE_ONCE(volume->claimed, true);
		exo_volume_get(volume);
	}
	mutex_unlock(&exo_volumes_lock);
	if (ret)
		return ret;

	ret = exo_pin_end_all(volume, arg->grace_ms);

	if (!ret) {
		ret = let_go_ended(volume, true);
	} else {
		mutex_lock(&exo_volumes_lock);
		WRITE_ONCE(volume->claimed, false);
		mutex_unlock(&exo_volumes_lock);
	}
	exo_volume_put(volume);
	return ret;
}

/* ---- lookups ---- */

static bool is_bound_to(struct exo_volume *volume, const struct super_block *sb)
{
	guard(mutex)(&volume->lock);
	return volume->mount_bdi && volume->mount_bdi == sb->s_bdi &&
	       volume->mount_bdi_id == sb->s_bdi->id;
}

/**
 * exo_volume_of_file() - the volume whose mount a file lives on
 * @file: any open file
 *
 * Device and inode numbers are recycled and anybody may mount a FUSE file system, so neither says
 * anything. The address of the bound mount's bdi, which the volume keeps alive, belongs to that
 * mount only.
 *
 * Context: process, may sleep.
 * Return: a referenced volume, or NULL.
 */
struct exo_volume *exo_volume_of_file(struct file *file)
{
	const struct super_block *sb = file_inode(file)->i_sb;
	struct exo_volume *volume, *found = NULL;
	unsigned long id;

	if (sb->s_magic != FUSE_SUPER_MAGIC)
		return NULL;
	/* Whoever attaches another device keeps nobody from this. */
	rcu_read_lock();
	xa_for_each(&exo_volumes, id, volume) {
		if (READ_ONCE(volume->mount_bdi) == sb->s_bdi &&
		    kref_get_unless_zero(&volume->ref)) {
			found = volume;
			break;
		}
	}
	rcu_read_unlock();
	if (!found || is_bound_to(found, sb))
		return found;
	exo_volume_put(found);
	return NULL;
}

/**
 * exo_volume_find() - the volume of an id
 * @id: of an attached volume
 *
 * Context: any.
 * Return: a referenced volume, or NULL.
 */
struct exo_volume *exo_volume_find(u32 id)
{
	struct exo_volume *volume;

	rcu_read_lock();
	volume = xa_load(&exo_volumes, id);
	if (volume && !kref_get_unless_zero(&volume->ref))
		volume = NULL;
	rcu_read_unlock();
	return volume;
}

/**
 * exo_volume_fill_entry() - describe a volume for a listing
 * @volume: to describe
 * @entry: filled
 *
 * Context: under rcu_read_lock().
 */
void exo_volume_fill_entry(const struct exo_volume *volume, struct exo_volume_entry *entry)
{
	entry->volume_id = volume->id;
	entry->flags = (READ_ONCE(volume->claimed) ? EXO_VOLUME_STATE_DAEMON : 0) |
		       (READ_ONCE(volume->mount_bdi) ? EXO_VOLUME_STATE_BOUND : 0) |
		       (volume->pollable ? EXO_VOLUME_STATE_POLLED : 0) |
		       (volume->dispatch_only ? EXO_VOLUME_STATE_DISPATCH : 0);
	memcpy(entry->uuid, volume->uuid, sizeof(entry->uuid));
	memcpy(entry->disk_name, volume->disk_name, sizeof(entry->disk_name));
	entry->size_bytes = volume->size_bytes;
	entry->logical_block_bytes = volume->block_bytes;
	entry->pins = READ_ONCE(volume->pin_count);
	entry->grants = atomic64_read(&volume->grants);
}
