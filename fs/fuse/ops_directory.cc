// SPDX-License-Identifier: MIT
// Reading directories. There is no opendir: cookies say all there is to say about a position, so
// the kernel is spared a request per opened directory, and may cache listings.
#include <span>
#include <vector>

#include "fs/fuse/ops.h"

namespace exo::fuse {
namespace {

// What one entry takes in the answer at least: the fixed part and a short name.
constexpr size_t kEntryBytes = 32;
constexpr size_t kEntryPlusBytes = 160;

void opendir(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
    fuse_reply_err(request, ENOSYS);  // not needed, as FUSE_CAP_NO_OPENDIR_SUPPORT allows to say
}

void readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
    const auto entries = file_system(request).volume.readdir(ino, static_cast<uint64_t>(offset),
                                                             size / kEntryBytes + 1);
    if (!entries) return reply_error(request, entries.error());
    std::vector<char> buffer(size);
    size_t used = 0;
    for (const DirEntry& entry : *entries) {
        struct stat st{};
        st.st_ino = entry.ino;
        st.st_mode = entry.mode;
        const size_t length =
            fuse_add_direntry(request, buffer.data() + used, size - used, entry.name.c_str(), &st,
                              static_cast<off_t>(entry.cookie));
        if (length > size - used) break;
        used += length;
    }
    fuse_reply_buf(request, buffer.data(), used);
}

void readdir_plus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
    FileSystem& fs = file_system(request);
    const auto entries =
        fs.volume.readdir_plus(ino, static_cast<uint64_t>(offset), size / kEntryPlusBytes + 1);
    if (!entries) return reply_error(request, entries.error());
    const auto is_dot = [](const DirEntry& entry) {
        return entry.name == "." || entry.name == "..";
    };

    std::vector<char> buffer(size);
    size_t used = 0;
    size_t fitting = 0;
    for (const DirEntry& entry : *entries) {
        fuse_entry_param param{};
        if (is_dot(entry)) {
            param.attr.st_ino = entry.ino;  // no reference goes with these: the node id stays 0
            param.attr.st_mode = entry.mode;
        } else {
            param = to_entry(entry.attr);
        }
        const size_t length =
            fuse_add_direntry_plus(request, buffer.data() + used, size - used, entry.name.c_str(),
                                   &param, static_cast<off_t>(entry.cookie));
        if (length > size - used) break;
        used += length;
        ++fitting;
    }
    const bool arrived = fuse_reply_buf(request, buffer.data(), used) == 0;
    for (const DirEntry& entry : std::span(*entries).subspan(arrived ? fitting : 0))
        if (!is_dot(entry)) fs.volume.close_ref(entry.ino);
}

void fsyncdir(fuse_req_t request, fuse_ino_t ino, int data_only, fuse_file_info*) {
    reply(request, file_system(request).volume.fsync(ino, data_only != 0));
}

}  // namespace

void set_directory_ops(fuse_lowlevel_ops& ops) {
    ops.opendir = opendir;
    ops.readdir = readdir;
    ops.readdirplus = readdir_plus;
    ops.fsyncdir = fsyncdir;
}

}  // namespace exo::fuse
