// SPDX-License-Identifier: GPL-2.0-only
/*
 * The size and copy rules that exo.h promises for every ioctl. Leaves all meaning to the handlers.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/uaccess.h>

#include <linux/exo.h>

#include "ioctl.h"

static const struct exo_ioctl *find(const struct exo_ioctl *table, size_t entries,
				    unsigned int command)
{
	for (size_t i = 0; i < entries; i++) {
		if (_IOC_NR(table[i].command) == _IOC_NR(command) &&
		    _IOC_DIR(table[i].command) == _IOC_DIR(command))
			return &table[i];
	}
	return NULL;
}

/**
 * exo_ioctl_new_fd() - prepare the fd that a command returns
 * @call: the command being served
 * @name: of the file, as /proc shows it
 * @fops: of the file; their owner keeps the module loaded
 * @private_data: of the file
 * @flags: O_RDWR or O_RDONLY, O_NONBLOCK; O_CLOEXEC is always set
 *
 * The fd becomes visible to user space only after the answer has been copied out, so that a failing
 * copy leaves nothing behind. From a successful call on @private_data belongs to the file and is
 * given back by its release function.
 *
 * Context: process, may sleep.
 * Return: 0, -EMFILE, -ENFILE or -ENOMEM.
 */
int exo_ioctl_new_fd(struct exo_ioctl_call *call, const char *name,
		     const struct file_operations *fops, void *private_data, int flags)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, private_data, flags | O_CLOEXEC);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	call->new_fd = fd;
	call->new_file = file;
	return 0;
}

/**
 * exo_ioctl_dispatch() - serve one ioctl
 * @table: commands of this kind of fd
 * @entries: in @table
 * @file: that the ioctl was called on
 * @command: as user space gave it, with the size of its structure
 * @user_arg: address of the structure
 *
 * Context: process, may sleep.
 * Return: 0 or the new fd; -ENOTTY unknown command; -EINVAL structure smaller than the first
 * published; -E2BIG larger than the module's with a part that is not zero; -EFAULT; or what the
 * handler says.
 */
long exo_ioctl_dispatch(const struct exo_ioctl *table, size_t entries, struct file *file,
			unsigned int command, unsigned long user_arg)
{
	u8 buffer[EXO_IOCTL_MAX_BYTES] __aligned(8);
	void __user *user = (void __user *)user_arg;
	struct exo_ioctl_call call = { .file = file, .arg = buffer, .new_fd = -1 };
	const struct exo_ioctl *entry;
	size_t user_bytes = _IOC_SIZE(command);
	size_t bytes;
	int ret;

	if (_IOC_TYPE(command) != EXO_IOC_TYPE)
		return -ENOTTY;
	entry = find(table, entries, command);
	if (!entry)
		return -ENOTTY;

	bytes = _IOC_SIZE(entry->command);
	if (WARN_ON_ONCE(bytes > sizeof(buffer)))
		return -ENOTTY;
	if (user_bytes < entry->first_bytes)
		return -EINVAL;
	ret = copy_struct_from_user(buffer, bytes, user, user_bytes);
	if (ret)
		return ret;

	ret = entry->handler(&call);
	if ((!ret || call.answers) && copy_to_user(user, buffer, min(bytes, user_bytes)))
		ret = -EFAULT;

	if (!call.new_file)
		return ret;
	if (ret) {
		put_unused_fd(call.new_fd);
		fput(call.new_file);
		return ret;
	}
	fd_install(call.new_fd, call.new_file);
	return call.new_fd;
}
