// SPDX-License-Identifier: MIT
// Requests on open files: opening, data, durability, space.
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <span>

#include "fs/fuse/ops.h"
#include "fs/fuse/pinning.h"

namespace exo::fuse {

OpenFile* open_file(FileSystem& fs, Ino ino, int flags) {
    auto file = std::make_unique<OpenFile>(OpenFile{ino, flags});
    return fs.open_files.open(ino, file->writable()) ? file.release() : nullptr;
}

void close_file(FileSystem& fs, OpenFile* file) {
    fs.open_files.release(file->ino, file->writable());
    if (file->writable()) fs.volume.closed(file->ino);
    end_lease_of(fs, *file);
    delete file;
}

Result<> kill_privileges(FileSystem& fs, Ino ino) {
    if (!kills_privileges()) return {};
    EXO_TRY_ASSIGN(const FileAttr attr, fs.volume.getattr(ino));
    if (!S_ISREG(attr.mode)) return {};
    uint32_t dropped = attr.mode & S_ISUID;
    // Without group execution the bit means mandatory locking.
    if (attr.mode & S_IXGRP) dropped |= attr.mode & S_ISGID;
    if (dropped == 0) return {};
    SetAttr change;
    change.mode = attr.mode & 07777 & ~dropped;
    EXO_TRY(fs.volume.setattr(ino, change));
    return {};
}

namespace {

void open(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
    FileSystem& fs = file_system(request);
    OpenFile* file = open_file(fs, ino, info->flags);
    if (!file) return reply_error(request, Error{EPERM, {}});
    if (info->flags & O_TRUNC) {
        const auto change = fs.open_files.begin_change(ino, OpenFiles::Origin::kOpenFile);
        auto done = change ? kill_privileges(fs, ino) : Result<>(fail(EPERM));
        if (done) done = fs.volume.truncate(ino, 0);
        if (!done) {
            close_file(fs, file);
            return reply_error(request, done.error());
        }
    }
    info->fh = reinterpret_cast<uintptr_t>(file);
    info->keep_cache = 1;  // what the kernel has cached is true: it is the only one to change it
    if (fuse_reply_open(request, info) != 0) close_file(fs, file);
}

void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    FileSystem& fs = file_system(request);
    OpenFile* file = opened_file(info);
    fuse_reply_err(request, 0);
    close_file(fs, file);
}

// One buffer per serving thread, aligned so that the device can fill it directly.
std::span<std::byte> read_buffer(size_t size) {
    constexpr size_t alignment = 4096;
    struct Free {
        void operator()(void* memory) const { free(memory); }
    };
    thread_local std::unique_ptr<void, Free> memory;
    thread_local size_t capacity = 0;
    if (capacity < size) {
        const size_t wanted = (size + alignment - 1) / alignment * alignment;
        memory.reset(aligned_alloc(alignment, wanted));
        capacity = memory ? wanted : 0;
    }
    return std::span(static_cast<std::byte*>(memory.get()), std::min(size, capacity));
}

void read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
    const auto buffer = read_buffer(size);
    if (buffer.size() < size) return reply_error(request, Error{ENOMEM, {}});
    const auto done = file_system(request).volume.read(ino, static_cast<uint64_t>(offset), buffer);
    if (!done) return reply_error(request, done.error());
    fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), *done);
}

void write(fuse_req_t request, fuse_ino_t ino, const char* data, size_t size, off_t offset,
           fuse_file_info*) {
    FileSystem& fs = file_system(request);
    const auto change = fs.open_files.begin_change(ino, OpenFiles::Origin::kOpenFile);
    if (!change) return reply_error(request, Error{EPERM, {}});
    if (const auto killed = kill_privileges(fs, ino); !killed)
        return reply_error(request, killed.error());
    const auto done =
        fs.volume.write(ino, static_cast<uint64_t>(offset), std::as_bytes(std::span(data, size)));
    if (!done) return reply_error(request, done.error());
    fuse_reply_write(request, *done);
}

void fsync(fuse_req_t request, fuse_ino_t ino, int data_only, fuse_file_info*) {
    reply(request, file_system(request).volume.fsync(ino, data_only != 0));
}

void fallocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t length,
               fuse_file_info*) {
    FileSystem& fs = file_system(request);
    FallocateMode what;
    switch (mode & ~FALLOC_FL_KEEP_SIZE) {
        case 0:
            what = FallocateMode::kAllocate;
            break;
        case FALLOC_FL_PUNCH_HOLE:
            what = FallocateMode::kPunchHole;
            break;
        case FALLOC_FL_ZERO_RANGE:
            what = FallocateMode::kZeroRange;
            break;
        default:
            return reply_error(request, Error{EOPNOTSUPP, {}});
    }
    const auto change = fs.open_files.begin_change(ino, OpenFiles::Origin::kOpenFile);
    if (!change) return reply_error(request, Error{EPERM, {}});
    if (const auto killed = kill_privileges(fs, ino); !killed)
        return reply_error(request, killed.error());
    reply(request,
          fs.volume.fallocate(ino, what, static_cast<uint64_t>(offset),
                              static_cast<uint64_t>(length), (mode & FALLOC_FL_KEEP_SIZE) != 0));
}

void copy_file_range(fuse_req_t request, fuse_ino_t source, off_t source_offset, fuse_file_info*,
                     fuse_ino_t target, off_t target_offset, fuse_file_info*, size_t length,
                     int flags) {
    if (flags != 0) return reply_error(request, Error{EINVAL, {}});
    FileSystem& fs = file_system(request);
    const auto change = fs.open_files.begin_change(target, OpenFiles::Origin::kOpenFile);
    if (!change) return reply_error(request, Error{EPERM, {}});
    if (const auto killed = kill_privileges(fs, target); !killed)
        return reply_error(request, killed.error());
    const auto done =
        fs.volume.copy_range(source, static_cast<uint64_t>(source_offset), target,
                             static_cast<uint64_t>(target_offset), static_cast<uint64_t>(length));
    if (!done) return reply_error(request, done.error());
    fuse_reply_write(request, *done);
}

void answer_lseek(fuse_req_t request, Ino ino, off_t offset, int whence) {
    const auto found = file_system(request).volume.seek(ino, static_cast<uint64_t>(offset), whence);
    if (!found) return reply_error(request, found.error());
    fuse_reply_lseek(request, static_cast<off_t>(*found));
}

void lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, fuse_file_info*) {
    FileSystem& fs = file_system(request);
    if (!fs.open_files.has_writers(ino)) return answer_lseek(request, ino, offset, whence);
    // The kernel may hold data that we have not seen yet. To drop its pages it writes them first:
    // requests that other threads have to serve meanwhile.
    fs.background.run([=, &fs] {
        fuse_lowlevel_notify_inval_inode(fs.session, ino, offset, 0);
        answer_lseek(request, ino, offset, whence);
    });
}

}  // namespace

// No flush: without it the kernel still writes back at close, and nothing here waits for close.
void set_file_ops(fuse_lowlevel_ops& ops) {
    ops.open = open;
    ops.release = release;
    ops.read = read;
    ops.write = write;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.copy_file_range = copy_file_range;
    ops.lseek = lseek;
}

}  // namespace exo::fuse
