// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traversals as io_uring commands. An ordinary ring's traversal is driven by its completions and
 * tells the submitter by task work, where the results are written. In a ring with IOPOLL whoever
 * reaps drives it, under the ring's lock, and writes the results there; one that nobody reaps is
 * watched, see watch.h.
 *
 * Results go to the submitter's memory, or, if the command says so, to one of the buffers that were
 * registered with the ring: these are pages, and good for whoever completes the command.
 */
#include <linux/io_uring/cmd.h>
#include <linux/io_uring_types.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include <linux/exo.h>

#include "drive.h"
#include "traversal.h"
#include "traverse.h"
#include "traverse_uring.h"
#include "watch.h"

/* What a command keeps of its own in io_uring's request. */
struct command {
	struct exo_traversal *traversal;
	struct mm_struct *mm;		/* of the submitter; counted, so that no other gets its address.
					 * NULL: results go to a registered buffer
					 */
	u64 outcome;			/* address for a struct exo_outcome, or 0 */
};

static struct command *command_of(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct command);
}

/* ---- results ---- */

/* A place in the registered buffer, which io_uring keeps until the command has completed. */
static int import_fixed(struct io_uring_cmd *cmd, u64 to, size_t len, struct iov_iter *iter)
{
	return io_uring_cmd_import_fixed(to, len, READ, iter, cmd);
}

static int check_fixed(struct io_uring_cmd *cmd, u64 to, size_t len)
{
	struct iov_iter iter;

	return len ? import_fixed(cmd, to, len, &iter) : 0;
}

static int write_fixed(struct io_uring_cmd *cmd, u64 to, const void *from, size_t len)
{
	struct iov_iter iter;
	int ret;

	if (!len)
		return 0;
	ret = import_fixed(cmd, to, len, &iter);
	if (ret)
		return ret;
	return copy_to_iter(from, len, &iter) == len ? 0 : -EFAULT;
}

/* All that will be written must lie in the buffer. */
static int check_places(struct io_uring_cmd *cmd, const struct exo_traverse *arg, u64 outcome)
{
	return check_fixed(cmd, arg->result, arg->result_len) ?:
	       check_fixed(cmd, arg->blocks, arg->blocks_len) ?:
	       outcome ? check_fixed(cmd, outcome, sizeof(struct exo_outcome)) : 0;
}

static int write_to_buffer(struct io_uring_cmd *cmd, const struct command *command)
{
	const struct exo_traversal *t = command->traversal;
	struct exo_outcome outcome;

	exo_traverse_outcome(t, &outcome);
	return write_fixed(cmd, t->user_result, t->result, t->result_valid) ?:
	       write_fixed(cmd, t->user_blocks, t->blocks, t->blocks_len) ?:
	       command->outcome ?
	       write_fixed(cmd, command->outcome, &outcome, sizeof(outcome)) : 0;
}

/* The rings that exist may be shared with processes that have another memory. */
static int write_results(struct io_uring_cmd *cmd, const struct command *command)
{
	struct exo_outcome outcome;
	int ret;

	if (!command->mm)
		return write_to_buffer(cmd, command);
	if (current->mm != command->mm)
		return -EFAULT;
	ret = exo_traverse_copy_out(command->traversal, &outcome);
	if (!ret && command->outcome &&
	    copy_to_user(u64_to_user_ptr(command->outcome), &outcome, sizeof(outcome)))
		ret = -EFAULT;
	return ret;
}

/* In the submitter's task work, or in the poller; the ring may be going away. */
static void complete_command(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct command command = *command_of(cmd);
	struct exo_traversal *t = command.traversal;
	int ret = write_results(cmd, &command);

	if (exo_traversal_polled(t))
		exo_watch_end(t);
	/* A cancellation may look at the traversal until this returns. */
	io_uring_cmd_done(cmd, ret ?: (int)t->cause, t->value, issue_flags);
	if (command.mm)
		mmdrop(command.mm);
	exo_traverse_put(t, true);
}

static void tell_task(struct exo_traversal *t)
{
	io_uring_cmd_do_in_task_lazy(t->owner, complete_command);
}

/* For a polled one, whose end is seen by whoever drives it. */
static void tell_nobody(struct exo_traversal *t)
{
}

/* ---- cancellation ---- */

static int cancel(struct io_uring_cmd *cmd)
{
	WRITE_ONCE(command_of(cmd)->traversal->cancel, true);
	return 0;
}

/* Cancels a request of the ring if it is a traversal that is meant; returns how many that is. */
static u32 cancel_if_meant(struct io_kiocb *req, const struct io_uring_cmd *by,
			   const struct exo_uring_cancel *arg)
{
	if (req->opcode != IORING_OP_URING_CMD || req->file != by->file ||
	    (!(arg->flags & EXO_CANCEL_ALL) && req->cqe.user_data != arg->user_data))
		return 0;
	cancel(io_kiocb_to_cmd(req, struct io_uring_cmd));
	return 1;
}

/*
 * What io_uring would do for IORING_OP_ASYNC_CANCEL, if that knew commands. A ring keeps its requests
 * in lists of its own, under its lock, for as long as they are not completed: polled ones in
 * iopoll_list, others, which we have marked so, in cancelable_uring_cmd. A traversal is freed after
 * its command has completed, so one that is found there is alive.
 */
static int cancel_some(const struct io_uring_cmd *by, const struct exo_uring_cancel *arg)
{
	struct io_ring_ctx *ring = cmd_to_io_kiocb((void *)by)->ctx;
	struct io_wq_work_node *node;
	struct io_kiocb *req;
	u32 found = 0;

	lockdep_assert_held(&ring->uring_lock);
	hlist_for_each_entry(req, &ring->cancelable_uring_cmd, hash_node)
		found += cancel_if_meant(req, by, arg);
	if (!(ring->flags & IORING_SETUP_IOPOLL))
		return found ?: -ENOENT;
	for (node = ring->iopoll_list.first; node; node = node->next) {
		req = container_of(node, struct io_kiocb, comp_list);
		/* Completed, and on its way out. */
		if (!READ_ONCE(req->iopoll_completed))
			found += cancel_if_meant(req, by, arg);
	}
	return found ?: -ENOENT;
}

static int cancel_command(const struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct io_ring_ctx *ring = cmd_to_io_kiocb((void *)cmd)->ctx;
	struct exo_uring_cancel arg;
	int ret;

	memcpy(&arg, io_uring_sqe_cmd(cmd->sqe), sizeof(arg));
	barrier();
	if (arg.flags & ~EXO_CANCEL_ALL || arg.reserved ||
	    (arg.flags & EXO_CANCEL_ALL && arg.user_data))
		return -EINVAL;
	/* A worker of io_uring's does not hold the lock. */
	if (!(issue_flags & IO_URING_F_UNLOCKED))
		return cancel_some(cmd, &arg);
	mutex_lock(&ring->uring_lock);
	ret = cancel_some(cmd, &arg);
	mutex_unlock(&ring->uring_lock);
	return ret;
}

/* ---- commands ---- */

/* What the two kinds of SQE say, as one request. */
static int read_command(const struct io_uring_cmd *cmd, unsigned int issue_flags,
			struct exo_traverse *arg, u64 *outcome)
{
	struct exo_uring_traverse whole;
	struct exo_uring_pointer pointer;

	BUILD_BUG_ON(offsetof(struct exo_uring_traverse, outcome) !=
		     offsetof(struct exo_traverse, outcome));
	/* The ring is user memory, which may change while it is read. */
	if (cmd->cmd_op == EXO_URING_TRAVERSE) {
		if (!(issue_flags & IO_URING_F_SQE128))
			return -EINVAL;
		memcpy(&whole, io_uring_sqe_cmd(cmd->sqe), sizeof(whole));
		barrier();
		memset(arg, 0, sizeof(*arg));
		memcpy(arg, &whole, offsetof(struct exo_uring_traverse, outcome));
		*outcome = whole.outcome;
		return 0;
	}
	if (_IOC_TYPE(cmd->cmd_op) != EXO_IOC_TYPE ||
	    _IOC_NR(cmd->cmd_op) != _IOC_NR(EXO_GRANT_TRAVERSE) ||
	    _IOC_DIR(cmd->cmd_op) != _IOC_DIR(EXO_GRANT_TRAVERSE))
		return -ENOTTY;
	if (_IOC_SIZE(cmd->cmd_op) < sizeof(*arg))
		return -EINVAL;
	memcpy(&pointer, io_uring_sqe_cmd(cmd->sqe), sizeof(pointer));
	barrier();
	if (pointer.reserved)
		return -EINVAL;
	*outcome = pointer.traverse + offsetof(struct exo_traverse, outcome);
	return copy_struct_from_user(arg, sizeof(*arg), u64_to_user_ptr(pointer.traverse),
				     _IOC_SIZE(cmd->cmd_op));
}

/**
 * exo_traverse_uring() - start, or cancel, traversals
 * @cmd: command on a grant fd
 * @issue_flags: io_uring's
 *
 * Context: process; does not wait.
 */
int exo_traverse_uring(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	bool polled = issue_flags & IO_URING_F_IOPOLL;
	bool fixed = cmd->flags & IORING_URING_CMD_FIXED;
	struct command *command = command_of(cmd);
	struct exo_traverse arg;
	struct exo_traversal *t;
	u64 outcome;
	int ret;

	if (issue_flags & IO_URING_F_CANCEL)
		return cancel(cmd);
	if (cmd->cmd_op == EXO_URING_CANCEL)
		return cancel_command(cmd, issue_flags);
	ret = read_command(cmd, issue_flags, &arg, &outcome);
	if (!ret && fixed)
		ret = check_places(cmd, &arg, outcome);
	if (ret)
		return ret;
	if (polled && arg.engine == EXO_ENGINE_AUTO)
		arg.engine = EXO_ENGINE_POLLED;
	if (polled != (arg.engine == EXO_ENGINE_POLLED))
		return -EINVAL;
	t = exo_traverse_prepare(cmd->file, &arg);
	if (IS_ERR(t))
		/* io_uring would answer EAGAIN with a thread that tries again. */
		return PTR_ERR(t) == -EAGAIN ? -EBUSY : PTR_ERR(t);

	*command = (struct command){ .traversal = t, .outcome = outcome };
	if (!fixed) {
		command->mm = current->mm;
		mmgrab(command->mm);
	}
	t->owner = cmd;
	if (polled) {
		t->on_end = tell_nobody;
		exo_drive_start(t, EXO_CONTEXT_POLLER);
		exo_watch_begin(t);
		if (t->ended)
			complete_command(cmd, issue_flags);
	} else {
		t->on_end = tell_task;
		/* Before it starts, since it may end at once. */
		io_uring_cmd_mark_cancelable(cmd, issue_flags);
		exo_drive_start(t, EXO_CONTEXT_SUBMITTER);
	}
	return -EIOCBQUEUED;
}

/**
 * exo_traverse_uring_poll() - drive a polled traversal a little
 * @cmd: that was started in a ring with IOPOLL, and has not completed
 * @batch: not used; each traversal completes by itself
 * @poll_flags: not used; this never waits
 *
 * Context: process, under the ring's lock.
 * Return: whether it has completed.
 */
int exo_traverse_uring_poll(struct io_uring_cmd *cmd, struct io_comp_batch *batch,
			    unsigned int poll_flags)
{
	struct exo_traversal *t = command_of(cmd)->traversal;

	/* A kernel thread reaps for a ring that was closed: nobody is left to read the results. */
	if (fatal_signal_pending(current) || current->flags & (PF_EXITING | PF_KTHREAD))
		WRITE_ONCE(t->cancel, true);
	if (!exo_watch_poll(t))
		return 0;
	complete_command(cmd, 0);
	return 1;
}
