// SPDX-License-Identifier: MIT
#include "fs/fuse/reply.h"

#include "fs/base/log.h"

namespace exo::fuse {

bool name_fits(fuse_req_t request, std::string_view name) {
    if (name.size() <= kMaxNameBytes) return true;
    fuse_reply_err(request, ENAMETOOLONG);
    return false;
}

struct stat to_stat(const FileAttr& attr) {
    struct stat st{};
    st.st_ino = attr.ino;
    st.st_mode = attr.mode;
    st.st_nlink = attr.nlink;
    st.st_uid = attr.uid;
    st.st_gid = attr.gid;
    st.st_rdev = attr.rdev;
    st.st_size = static_cast<off_t>(attr.size);
    st.st_blksize = kPreferredIoBytes;
    st.st_blocks = static_cast<blkcnt_t>(attr.blocks_512);
    st.st_atim = attr.atime;
    st.st_mtim = attr.mtime;
    st.st_ctim = attr.ctime;
    return st;
}

fuse_entry_param to_entry(const FileAttr& attr) {
    fuse_entry_param entry{};
    entry.ino = attr.ino;
    // Together with st_ino it is what the kernel module knows a file by.
    entry.generation = attr.generation;
    entry.attr = to_stat(attr);
    entry.attr_timeout = kCacheSeconds;
    entry.entry_timeout = kCacheSeconds;
    return entry;
}

void log_message(const Error& error) {
    if (!error.message.empty()) log(LogLevel::kError, error.message);
}

void reply_error(fuse_req_t request, const Error& error) {
    log_message(error);
    fuse_reply_err(request, error.code);
}

void reply(fuse_req_t request, const Result<>& result) {
    if (result)
        fuse_reply_err(request, 0);
    else
        reply_error(request, result.error());
}

void reply_attr(fuse_req_t request, const Result<FileAttr>& attr) {
    if (!attr) return reply_error(request, attr.error());
    const struct stat st = to_stat(*attr);
    fuse_reply_attr(request, &st, kCacheSeconds);
}

void reply_entry(fuse_req_t request, const Result<FileAttr>& attr) {
    if (!attr) return reply_error(request, attr.error());
    FileSystem& fs = file_system(request);
    const fuse_entry_param entry = to_entry(*attr);
    if (fuse_reply_entry(request, &entry) != 0) fs.volume.close_ref(attr->ino);
}

}  // namespace exo::fuse
