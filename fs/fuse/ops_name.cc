// SPDX-License-Identifier: MIT
// Requests on names: lookup, creation, removal, renaming.
#include <stdio.h>
#include <sys/stat.h>

#include "fs/fuse/ops.h"

namespace exo::fuse {
namespace {

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    if (!name_fits(request, name)) return;
    auto found = file_system(request).volume.lookup(parent, name);
    if (!found && found.error().code == ENOENT) {
        // The kernel may remember that there is no such name: it sees every creation.
        fuse_entry_param absent{};
        absent.entry_timeout = kCacheSeconds;
        fuse_reply_entry(request, &absent);
        return;
    }
    reply_entry(request, found);
}

// A file made by a process gets the process's identity; the volume applies set-group-id
// directories.
const fuse_ctx& caller(fuse_req_t request) {
    return *fuse_req_ctx(request);
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
    if (!name_fits(request, name)) return;
    const fuse_ctx& who = caller(request);
    reply_entry(request, file_system(request).volume.create(parent, name, mode, who.uid, who.gid,
                                                            rdev, who.umask));
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    if (!name_fits(request, name)) return;
    const fuse_ctx& who = caller(request);
    reply_entry(request,
                file_system(request).volume.mkdir(parent, name, mode, who.uid, who.gid, who.umask));
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
    if (!name_fits(request, name)) return;
    const fuse_ctx& who = caller(request);
    reply_entry(request,
                file_system(request).volume.symlink(parent, name, target, who.uid, who.gid));
}

void link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t new_parent, const char* new_name) {
    if (!name_fits(request, new_name)) return;
    reply_entry(request, file_system(request).volume.link(ino, new_parent, new_name));
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* info) {
    if (!name_fits(request, name)) return;
    FileSystem& fs = file_system(request);
    const fuse_ctx& who = caller(request);
    const auto attr =
        fs.volume.create(parent, name, (mode & ~S_IFMT) | S_IFREG, who.uid, who.gid, 0, who.umask);
    if (!attr) return reply_error(request, attr.error());
    OpenFile* file = open_file(fs, attr->ino, info->flags);
    if (!file) {  // somebody was quick to pin it
        fs.volume.close_ref(attr->ino);
        return reply_error(request, Error{EPERM, {}});
    }
    info->fh = reinterpret_cast<uintptr_t>(file);
    info->keep_cache = 1;
    const fuse_entry_param entry = to_entry(*attr);
    if (fuse_reply_create(request, &entry, info) != 0) {
        close_file(fs, file);
        fs.volume.close_ref(attr->ino);
    }
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    if (!name_fits(request, name)) return;
    FileSystem& fs = file_system(request);
    const auto done = fs.volume.unlink(parent, name);
    fs.names_removed = true;
    reply(request, done);
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    if (!name_fits(request, name)) return;
    reply(request, file_system(request).volume.rmdir(parent, name));
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned int flags) {
    if (!name_fits(request, name) || !name_fits(request, new_name)) return;
    FileSystem& fs = file_system(request);
    RenameMode mode = RenameMode::kReplace;
    if (flags == RENAME_NOREPLACE)
        mode = RenameMode::kNoReplace;
    else if (flags == RENAME_EXCHANGE)
        mode = RenameMode::kExchange;
    else if (flags != 0)
        return reply_error(request, Error{EINVAL, {}});  // RENAME_WHITEOUT
    const auto done = fs.volume.rename(parent, name, new_parent, new_name, mode);
    fs.names_removed = true;
    reply(request, done);
}

void readlink(fuse_req_t request, fuse_ino_t ino) {
    const auto target = file_system(request).volume.readlink(ino);
    if (target)
        fuse_reply_readlink(request, target->c_str());
    else
        reply_error(request, target.error());
}

}  // namespace

void set_name_ops(fuse_lowlevel_ops& ops) {
    ops.lookup = lookup;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.symlink = symlink;
    ops.link = link;
    ops.create = create;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.rename = rename;
    ops.readlink = readlink;
}

}  // namespace exo::fuse
