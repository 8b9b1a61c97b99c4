// SPDX-License-Identifier: MIT
// Requests on attributes of inodes and of the volume, and the end of the kernel's interest in
// inodes.
#include <sys/statvfs.h>

#include <span>

#include "fs/fuse/ops.h"

namespace exo::fuse {
namespace {

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
    reply_attr(request, file_system(request).volume.getattr(ino));
}

SetAttr to_changes(const struct stat& attr, int which) {
    SetAttr changes;
    if (which & FUSE_SET_ATTR_MODE) changes.mode = attr.st_mode & 07777;
    if (which & FUSE_SET_ATTR_UID) changes.uid = attr.st_uid;
    if (which & FUSE_SET_ATTR_GID) changes.gid = attr.st_gid;
    if (which & FUSE_SET_ATTR_SIZE) changes.size = static_cast<uint64_t>(attr.st_size);
    if (which & FUSE_SET_ATTR_ATIME) changes.atime = attr.st_atim;
    if (which & FUSE_SET_ATTR_MTIME) changes.mtime = attr.st_mtim;
    if (which & FUSE_SET_ATTR_CTIME) changes.ctime = attr.st_ctim;
    if (which & FUSE_SET_ATTR_ATIME_NOW) changes.atime = current_time();
    if (which & FUSE_SET_ATTR_MTIME_NOW) changes.mtime = current_time();
    return changes;
}

void setattr(fuse_req_t request, fuse_ino_t ino, struct stat* attr, int which,
             fuse_file_info* info) {
    FileSystem& fs = file_system(request);
    const SetAttr changes = to_changes(*attr, which);
    if (const auto done = kill_privileges(fs, ino); !done)
        return reply_error(request, done.error());
    if (!changes.size) return reply_attr(request, fs.volume.setattr(ino, changes));

    const auto change = fs.open_files.begin_change(
        ino, info ? OpenFiles::Origin::kOpenFile : OpenFiles::Origin::kPath);
    if (!change) return reply_error(request, Error{EPERM, {}});
    reply_attr(request, fs.volume.setattr(ino, changes));
}

void statfs(fuse_req_t request, fuse_ino_t) {
    const VolumeStats stats = file_system(request).volume.statfs();
    struct statvfs result{};
    result.f_bsize = stats.block_bytes;
    result.f_frsize = stats.block_bytes;
    result.f_blocks = stats.blocks;
    result.f_bfree = stats.blocks_free;
    result.f_bavail = stats.blocks_available;
    result.f_files = stats.inodes;
    result.f_ffree = stats.inodes_free;
    result.f_favail = stats.inodes_free;
    result.f_namemax = kMaxNameBytes;
    fuse_reply_statfs(request, &result);
}

void forget_one(FileSystem& fs, fuse_ino_t ino, uint64_t count) {
    if (ino != kRootIno) fs.volume.close_ref(ino, count);
}

void forget(fuse_req_t request, fuse_ino_t ino, uint64_t count) {
    forget_one(file_system(request), ino, count);
    fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
    FileSystem& fs = file_system(request);
    for (const fuse_forget_data& one : std::span(forgets, count))
        forget_one(fs, one.ino, one.nlookup);
    fuse_reply_none(request);
}

}  // namespace

void set_attribute_ops(fuse_lowlevel_ops& ops) {
    ops.getattr = getattr;
    ops.setattr = setattr;
    ops.statfs = statfs;
    ops.forget = forget;
    ops.forget_multi = forget_multi;
}

}  // namespace exo::fuse
