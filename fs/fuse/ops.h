// SPDX-License-Identifier: MIT
// The requests of the kernel, one function each, thin: check what FUSE leaves to us, call the
// volume, answer.
#pragma once

#include <bit>

#include "fs/fuse/reply.h"

namespace exo::fuse {

// Each fills in its part of the table.
void set_name_ops(fuse_lowlevel_ops& ops);       // lookup, make, remove, rename, link
void set_attribute_ops(fuse_lowlevel_ops& ops);  // getattr, setattr, statfs, forget
void set_file_ops(fuse_lowlevel_ops& ops);  // open, read, write, release, fsync, fallocate, lseek
void set_directory_ops(fuse_lowlevel_ops& ops);  // readdir
void set_xattr_ops(fuse_lowlevel_ops& ops);      // getxattr, listxattr, removexattr
void set_ioctl_ops(fuse_lowlevel_ops& ops);      // ioctl: pins, layout, attribute flags

// Opens an inode; a null pointer after a refusal (EPERM). The caller answers with its address.
OpenFile* open_file(FileSystem& fs, Ino ino, int flags);
void close_file(FileSystem& fs, OpenFile* file);
// The open file that a request comes with.
inline OpenFile* opened_file(const fuse_file_info* info) {
    return std::bit_cast<OpenFile*>(static_cast<uintptr_t>(info->fh));
}

// Whether the request that the calling thread serves has to drop set-user-id bits: it changes data
// for somebody without CAP_FSETID, or the owner.
bool kills_privileges();
// Drops them, if there are any and the request says so.
Result<> kill_privileges(FileSystem& fs, Ino ino);

}  // namespace exo::fuse
