// SPDX-License-Identifier: MIT
#include "fs/fuse/raw_requests.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "fs/fuse/connection.h"
#include "fs/fuse/ops.h"

namespace exo::fuse {
namespace {

// Newer than the headers of Debian 12, as in the kernel's uapi/linux/fuse.h since 6.6.
constexpr uint32_t kStatx = 52;
struct StatxTime {
    int64_t seconds;
    uint32_t nanoseconds;
    int32_t reserved;
};
struct StatxAnswer {
    uint64_t valid_seconds;
    uint32_t valid_nanoseconds, flags;
    uint64_t spare[2];
    struct {
        uint32_t mask, block_bytes;
        uint64_t attributes;
        uint32_t nlink, uid, gid;
        uint16_t mode, spare0;
        uint64_t ino, size, blocks, attributes_mask;
        StatxTime atime, btime, ctime, mtime;
        uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
        uint64_t spare2[14];
    } stat;
};
static_assert(sizeof(StatxAnswer) == 32 + 256);

struct RawRequest {
    FileSystem& fs;
    int fd;
    fuse_in_header head;
    std::span<const std::byte> body;

    template <typename T>
    std::optional<T> take() {
        return take<T>(sizeof(T));
    }
    // A structure of which the kernel sends only the first bytes.
    template <typename T>
    std::optional<T> take(size_t length) {
        if (body.size() < length) return {};
        T value{};
        memcpy(&value, body.data(), length);
        body = body.subspan(length);
        return value;
    }
    std::optional<std::string_view> take_name() {
        const std::string_view rest(reinterpret_cast<const char*>(body.data()), body.size());
        const size_t end = rest.find('\0');
        if (end == std::string_view::npos) return {};
        body = body.subspan(end + 1);
        return rest.substr(0, end);
    }
};

// False: the answer did not arrive; who asked was killed meanwhile.
bool send(const RawRequest& request, int code, std::span<const std::byte> content = {}) {
    fuse_out_header head{};
    head.len = static_cast<uint32_t>(sizeof head + content.size());
    head.error = -code;
    head.unique = request.head.unique;
    const iovec parts[2] = {{&head, sizeof head},
                            {const_cast<std::byte*>(content.data()), content.size()}};
    return writev(request.fd, parts, content.empty() ? 1 : 2) >= 0;
}

void send_error(const RawRequest& request, const Error& error) {
    log_message(error);
    send(request, error.code);
}

fuse_attr to_fuse_attr(const FileAttr& attr) {
    fuse_attr out{};
    out.ino = attr.ino;
    out.size = attr.size;
    out.blocks = attr.blocks_512;
    out.atime = static_cast<uint64_t>(attr.atime.tv_sec);
    out.mtime = static_cast<uint64_t>(attr.mtime.tv_sec);
    out.ctime = static_cast<uint64_t>(attr.ctime.tv_sec);
    out.atimensec = static_cast<uint32_t>(attr.atime.tv_nsec);
    out.mtimensec = static_cast<uint32_t>(attr.mtime.tv_nsec);
    out.ctimensec = static_cast<uint32_t>(attr.ctime.tv_nsec);
    out.mode = attr.mode;
    out.nlink = attr.nlink;
    out.uid = attr.uid;
    out.gid = attr.gid;
    out.rdev = static_cast<uint32_t>(attr.rdev);
    out.blksize = kPreferredIoBytes;
    return out;
}

void make_unnamed(RawRequest request) {
    const auto wanted = request.take<fuse_create_in>();
    if (!wanted) return (void)send(request, EINVAL);
    FileSystem& fs = request.fs;
    const auto attr = fs.volume.create_unnamed(request.head.nodeid, wanted->mode & 07777,
                                               request.head.uid, request.head.gid, wanted->umask);
    if (!attr) return send_error(request, attr.error());
    OpenFile* file = open_file(fs, attr->ino, static_cast<int>(wanted->flags));
    if (!file) {
        fs.volume.close_ref(attr->ino);
        return (void)send(request, EPERM);
    }
    struct {
        fuse_entry_out entry;
        fuse_open_out open;
    } answer{};
    answer.entry.nodeid = attr->ino;
    answer.entry.generation = attr->generation;
    answer.entry.attr_valid = static_cast<uint64_t>(kCacheSeconds);
    answer.entry.attr = to_fuse_attr(*attr);
    answer.open.fh = reinterpret_cast<uintptr_t>(file);
    answer.open.open_flags = FOPEN_KEEP_CACHE;
    if (!send(request, 0, std::as_bytes(std::span(&answer, 1)))) {
        close_file(fs, file);
        fs.volume.close_ref(attr->ino);
    }
}

void get_statx(const RawRequest& request) {
    const auto attr = request.fs.volume.getattr(request.head.nodeid);
    if (!attr) return send_error(request, attr.error());
    const auto to_time = [](const timespec& time) {
        return StatxTime{time.tv_sec, static_cast<uint32_t>(time.tv_nsec), 0};
    };
    StatxAnswer answer{};
    answer.valid_seconds = static_cast<uint64_t>(kCacheSeconds);
    auto& stat = answer.stat;
    stat.mask = STATX_BASIC_STATS | STATX_BTIME;
    stat.block_bytes = kPreferredIoBytes;
    stat.nlink = attr->nlink;
    stat.uid = attr->uid;
    stat.gid = attr->gid;
    stat.mode = static_cast<uint16_t>(attr->mode);
    stat.ino = attr->ino;
    stat.size = attr->size;
    stat.blocks = attr->blocks_512;
    stat.atime = to_time(attr->atime);
    stat.btime = to_time(attr->btime);
    stat.ctime = to_time(attr->ctime);
    stat.mtime = to_time(attr->mtime);
    stat.rdev_major = major(attr->rdev);
    stat.rdev_minor = minor(attr->rdev);
    send(request, 0, std::as_bytes(std::span(&answer, 1)));
}

void set_xattr(RawRequest request) {
    const auto wanted = request.take<fuse_setxattr_in>(
        request.fs.long_set_xattr ? sizeof(fuse_setxattr_in) : FUSE_COMPAT_SETXATTR_IN_SIZE);
    const auto name = wanted ? request.take_name() : std::nullopt;
    if (!name || request.body.size() < wanted->size) return (void)send(request, EINVAL);
    const XattrMode mode = wanted->flags & XATTR_CREATE    ? XattrMode::kCreate
                           : wanted->flags & XATTR_REPLACE ? XattrMode::kReplace
                                                           : XattrMode::kSet;
    const auto done = request.fs.volume.set_xattr(
        request.head.nodeid, *name, request.body.first(wanted->size), mode,
        (wanted->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0);
    if (!done) return send_error(request, done.error());
    send(request, 0);
}

}  // namespace

bool serve_raw(FileSystem& fs, int fd) {
    RawRequest request{fs, fd, {}, served_request()};
    const auto head = request.take<fuse_in_header>();
    if (!head) return false;
    request.head = *head;
    switch (request.head.opcode) {
        case FUSE_TMPFILE:
            make_unnamed(request);
            return true;
        case kStatx:
            get_statx(request);
            return true;
        case FUSE_SETXATTR:
            set_xattr(request);
            return true;
        default:
            return false;
    }
}

}  // namespace exo::fuse
