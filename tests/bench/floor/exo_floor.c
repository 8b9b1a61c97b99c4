// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least that a chain of dependent reads costs on a blk-mq driver: one request, issued again from
 * its own completion or by a caller who polls, with nothing between two reads but the offset that
 * the block holds. It goes straight to the driver, or through the block layer's own entry point for
 * requests that somebody else prepared. No program, no check and no limit stand in the way, so this is for measuring on
 * a device that nobody else uses, by root, and not for anything else. The device's statistics stay
 * right, as those of every other way to read do.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/part_stat.h>
#include <linux/uaccess.h>

#include "floor.h"

struct chain {
	struct request *rq;
	struct block_device *bdev;
	u8 *buffer;
	u32 block_bytes;
	u32 left;			/* reads, with the one in flight */
	bool polled;
	bool by_block_layer;
	bool arrived;			/* for the poller */
	blk_status_t status;
	struct bio bio;
	struct bio_vec bvec;
	struct completion done;
};

/* Points the request at a block. */
static void aim(struct chain *c, u64 offset)
{
	struct request *rq = c->rq;

	bio_init(&c->bio, NULL, &c->bvec, 1, REQ_OP_READ | (c->polled ? REQ_POLLED : 0));
	c->bio.bi_bdev = c->bdev;
	c->bio.bi_vcnt = 1;
	c->bio.bi_iter.bi_size = c->block_bytes;
	c->bio.bi_iter.bi_sector = offset >> SECTOR_SHIFT;
	rq->__sector = c->bio.bi_iter.bi_sector + c->bdev->bd_start_sect;
	blk_rq_bio_prep(rq, &c->bio, 1);
}

static blk_status_t issue_again(struct chain *c)
{
	struct request *rq = c->rq;
	const struct blk_mq_queue_data bd = { .rq = rq, .last = true };

	aim(c, *(const u64 *)c->buffer);
	rq->start_time_ns = ktime_get_ns();
	if (c->by_block_layer)
		return blk_insert_cloned_request(rq);
	part_stat_lock();
	part_stat_local_inc(rq->part, in_flight[0]);
	part_stat_unlock();
	return rq->q->mq_ops->queue_rq(rq->mq_hctx, &bd);
}

static enum rq_end_io_ret read_done(struct request *rq, blk_status_t status)
{
	struct chain *c = rq->end_io_data;

	WRITE_ONCE(rq->state, MQ_RQ_IDLE);
	if (c->polled) {
		c->status = status;
		c->arrived = true;
		return RQ_END_IO_NONE;
	}
	if (!status && --c->left)
		status = issue_again(c);
	else
		c->left = 0;
	if (status || !c->left) {
		c->status = status;
		complete(&c->done);
	}
	return RQ_END_IO_NONE;
}

static void poll_to_end(struct chain *c)
{
	struct request *rq = c->rq;

	for (;;) {
		while (!c->arrived)
			rq->q->mq_ops->poll(rq->mq_hctx, NULL);
		if (c->status || !--c->left)
			return;
		c->arrived = false;
		c->status = issue_again(c);
		if (c->status)
			return;
	}
}

static int run(struct chain *c)
{
	blk_opf_t opf = REQ_OP_READ | REQ_NOMERGE | (c->polled ? REQ_POLLED : 0);
	struct request *rq;
	int ret;

	rq = blk_mq_alloc_request(bdev_get_queue(c->bdev), opf, 0);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	ret = -EOPNOTSUPP;
	/* The chain keeps the disk's statistics itself, and knows no others. */
	if ((c->polled && rq->mq_hctx->type != HCTX_TYPE_POLL) || !(rq->rq_flags & RQF_IO_STAT))
		goto out;
	rq->end_io = read_done;
	rq->end_io_data = c;
	c->rq = rq;
	bvec_set_page(&c->bvec, virt_to_page(c->buffer), c->block_bytes, 0);
	aim(c, 0);
	ret = blk_status_to_errno(blk_insert_cloned_request(rq));
	if (ret)
		goto out;
	if (c->polled)
		poll_to_end(c);
	else
		wait_for_completion(&c->done);
	ret = blk_status_to_errno(c->status);
out:
	blk_mq_free_request(rq);
	return ret;
}

static long floor_ioctl(struct file *file, unsigned int command, unsigned long address)
{
	struct floor_chain arg;
	struct chain c = {};
	struct file *device;
	int ret = -ENOTBLK;

	if (command != FLOOR_CHAIN)
		return -ENOTTY;
	if (copy_from_user(&arg, (void __user *)address, sizeof(arg)))
		return -EFAULT;
	if (!arg.depth || arg.block_bytes & (SECTOR_SIZE - 1) || !arg.block_bytes ||
	    arg.block_bytes > PAGE_SIZE)
		return -EINVAL;
	device = fget(arg.device_fd);
	if (!device)
		return -EBADF;
	if (!S_ISBLK(file_inode(device)->i_mode))
		goto out;
	ret = -EOPNOTSUPP;
	c.bdev = file_bdev(device);
	if (!queue_is_mq(bdev_get_queue(c.bdev)))
		goto out;
	ret = -ENOMEM;
	c.buffer = (u8 *)get_zeroed_page(GFP_KERNEL);
	if (!c.buffer)
		goto out;
	c.block_bytes = arg.block_bytes;
	c.left = arg.depth;
	c.polled = arg.polled;
	c.by_block_layer = arg.by_block_layer;
	init_completion(&c.done);
	ret = run(&c);
	free_page((unsigned long)c.buffer);
out:
	fput(device);
	return ret;
}

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = floor_ioctl,
};

static struct miscdevice floor_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "exo_floor",
	.mode = 0600,
	.fops = &floor_fops,
};
module_misc_device(floor_device);

MODULE_DESCRIPTION("The floor that exo's benchmark of dependent reads compares with");
MODULE_LICENSE("GPL");
