// SPDX-License-Identifier: MIT
// ioctl on files and directories: what linux/exo.h declares for files on an exo mount, and the
// attribute flags that lsattr and chattr use. Structures grow by the rules of linux/exo.h; anything
// else is ENOTTY.
#include <linux/exo.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "fs/fuse/ops.h"
#include "fs/fuse/pinning.h"
#include "fs/volume/posix_acl.h"

namespace exo::fuse {
namespace {

struct IoctlRequest {
    fuse_req_t request;
    FileSystem& fs;
    Ino ino;
    const OpenFile* file;  // null on a directory
    std::span<const std::byte> in;
    size_t out_bytes;
};

void refuse(const IoctlRequest& call, int code) {
    fuse_reply_err(call.request, code);
}

// A structure as the caller's headers know it: a shorter one is completed with zeros, a longer one
// accepted when the rest is zero. Nothing after a refusal, which is answered.
template <typename T>
std::optional<T> take_argument(const IoctlRequest& call, size_t first_published_bytes = sizeof(T)) {
    T value{};
    if (call.in.size() < first_published_bytes) {
        refuse(call, EINVAL);
        return {};
    }
    const size_t known = std::min(call.in.size(), sizeof value);
    memcpy(&value, call.in.data(), known);
    const auto rest = call.in.subspan(known);
    if (std::ranges::any_of(rest, [](std::byte byte) { return byte != std::byte{0}; })) {
        refuse(call, E2BIG);
        return {};
    }
    return value;
}

template <typename T>
void give_answer(const IoctlRequest& call, const T& value) {
    fuse_reply_ioctl(call.request, 0, &value, std::min(call.out_bytes, sizeof value));
}

void reply(const IoctlRequest& call, const Result<>& result) {
    if (result)
        fuse_reply_ioctl(call.request, 0, nullptr, 0);
    else
        reply_error(call.request, result.error());
}

bool in_group(fuse_req_t request, gid_t group) {
    if (fuse_req_ctx(request)->gid == group) return true;
    std::vector<gid_t> groups(64);
    int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
    if (count > static_cast<int>(groups.size())) {
        groups.resize(static_cast<size_t>(count));
        count = fuse_req_getgroups(request, count, groups.data());
    }
    const size_t known = count > 0 ? std::min(static_cast<size_t>(count), groups.size()) : 0;
    return std::ranges::count(std::span(groups).first(known), group) != 0;
}

// The ACL that decides over access: the permission bits, where there is no other.
Result<Acl> access_acl(Volume& volume, const FileAttr& attr) {
    const auto value = volume.get_xattr(attr.ino, kAclAccessName);
    if (value) return parse_acl(*value);
    if (value.error().code != ENODATA) return std::unexpected(value.error());
    Acl acl{{kAclUserObj, 0, 0}, {kAclGroupObj, 0, 0}, {kAclOther, 0, 0}};
    chmod_acl(acl, attr.mode);
    return acl;
}

// The right to write: the kernel checks it for open(2), but a pin needs it on a file that is not
// open for writing.
Result<bool> may_write(const IoctlRequest& call, const FileAttr& attr) {
    constexpr uint16_t kWrite = 2;
    const fuse_ctx& who = *fuse_req_ctx(call.request);
    if (who.uid == 0) return true;
    EXO_TRY_ASSIGN(const Acl acl, access_acl(call.fs.volume, attr));
    const AclUser user{who.uid, [&](gid_t group) { return in_group(call.request, group); }};
    return acl_permits(acl, user, attr.uid, attr.gid, kWrite);
}

void file_info(const IoctlRequest& call) {
    const auto attr = call.fs.volume.getattr(call.ino);
    if (!attr) return reply_error(call.request, attr.error());
    exo_file_info info{};
    const VolumeInfo volume = call.fs.volume.info();
    std::ranges::copy(volume.uuid, info.uuid);
    info.ino = attr->ino;
    info.generation = attr->generation;
    info.size_bytes = attr->size;
    info.extents = S_ISREG(attr->mode) ? call.fs.volume.extent_count(call.ino) : 0;
    if (attr->pinned) info.flags |= EXO_FILE_PINNED;
    if (attr->pin_persistent) info.flags |= EXO_FILE_PIN_PERSISTENT;
    if (call.fs.pins.has_kernel()) info.flags |= EXO_FILE_KERNEL;
    info.block_bytes = static_cast<uint32_t>(call.fs.volume.statfs().block_bytes);
    give_answer(call, info);
}

// False: the request was refused and answered.
bool check_pin_rights(const IoctlRequest& call) {
    const auto attr = call.fs.volume.getattr(call.ino);
    if (!attr) {
        reply_error(call.request, attr.error());
    } else if (S_ISDIR(attr->mode)) {
        refuse(call, EISDIR);
    } else if (!S_ISREG(attr->mode) || !call.file) {
        refuse(call, EINVAL);
    } else if (const auto may = may_write(call, *attr); !may) {
        reply_error(call.request, may.error());
    } else if (!*may) {
        refuse(call, EACCES);
    } else if (call.fs.read_only) {
        refuse(call, EROFS);
    } else {
        return true;
    }
    return false;
}

void file_pin(const IoctlRequest& call) {
    const auto argument = take_argument<exo_file_pin>(call);
    if (!argument) return;
    if ((argument->flags & ~EXO_PIN_PERSISTENT) != 0 || argument->reserved != 0)
        return refuse(call, EINVAL);
    if (!check_pin_rights(call)) return;
    const bool persistent = (argument->flags & EXO_PIN_PERSISTENT) != 0;
    // The open file outlives the job: the kernel holds it until the ioctl is answered.
    call.fs.background.run([request = call.request, &fs = call.fs, file = call.file, persistent] {
        const auto done = pin_file(fs, *file, persistent);
        if (!done) return reply_error(request, done.error());
        // Delayed allocation ended: what the kernel has cached of st_blocks may be old.
        fuse_lowlevel_notify_inval_inode(fs.session, file->ino, -1, 0);
        fuse_reply_ioctl(request, 0, nullptr, 0);
    });
}

void file_unpin(const IoctlRequest& call) {
    const auto argument = take_argument<exo_file_unpin>(call);
    if (!argument) return;
    if (argument->flags != 0) return refuse(call, EINVAL);
    if (!check_pin_rights(call)) return;
    call.fs.background.run([call, answer = *argument]() mutable {
        const auto done = unpin_file(call.fs, call.ino, std::chrono::milliseconds(answer.grace_ms));
        if (!done) return reply_error(call.request, done.error());
        answer.revoked_grants = done->grants;
        answer.drained_traversals = done->drained_traversals;
        answer.drain_ns = done->drain_ns;
        give_answer(call, answer);
    });
}

void file_map(const IoctlRequest& call) {
    auto map = take_argument<exo_file_map>(call);
    if (!map) return;
    if (map->flags != 0 || !call.file) return refuse(call, EINVAL);
    if (!call.file->readable()) return refuse(call, EBADF);
    const auto extents =
        call.fs.volume.extents_of(call.ino, map->start_offset, EXO_FILE_MAP_EXTENTS);
    if (!extents) return reply_error(call.request, extents.error());
    map->count = static_cast<uint32_t>(extents->size());
    std::ranges::transform(*extents, map->extents, [](const FileExtent& extent) {
        return exo_file_extent{extent.file_offset, extent.disk_offset, extent.length,
                               extent.unwritten ? EXO_EXTENT_UNWRITTEN : 0, 0};
    });
    give_answer(call, *map);
}

// FITRIM, as fstrim(8) sends it. Of the range only the whole volume is possible: freed space is not
// looked for by place.
void trim(const IoctlRequest& call) {
    const auto range = take_argument<fstrim_range>(call);
    if (!range) return;
    if (fuse_req_ctx(call.request)->uid != 0) return refuse(call, EPERM);
    if (call.fs.read_only) return refuse(call, EROFS);
    const VolumeInfo volume = call.fs.volume.info();
    if (range->start >= volume.size_bytes) return refuse(call, EINVAL);
    if (range->start != 0 || range->len < volume.size_bytes) return refuse(call, EOPNOTSUPP);
    call.fs.background.run([call, answer = *range]() mutable {
        const auto told = call.fs.volume.trim(answer.minlen);
        if (!told) return reply_error(call.request, told.error());
        answer.len = *told;
        give_answer(call, answer);
    });
}

void place(const IoctlRequest& call) {
    const auto argument = take_argument<exo_file_place>(call);
    if (!argument) return;
    if (argument->flags & ~EXO_PLACE_NEAR || argument->reserved != 0) return refuse(call, EINVAL);
    if (!call.file) return refuse(call, EISDIR);
    if (!call.file->writable()) return refuse(call, EBADF);
    if ((argument->flags & EXO_PLACE_NEAR) == 0)
        return reply(call, call.fs.volume.set_placement(call.ino, argument->where));
    // Only a file that somebody has open is sure to stay while it is looked at.
    if (!call.fs.open_files.is_open(argument->where)) return refuse(call, ENOENT);
    reply(call, call.fs.volume.set_placement_near(call.ino, argument->where));
}

// The attribute flags as chattr(1) knows them. The only one there is says that the file is pinned.
// The kernel translates both calls of processes itself and asks with these structures.
void attribute_flags(const IoctlRequest& call, unsigned int command) {
    const auto attr = call.fs.volume.getattr(call.ino);
    if (!attr) return reply_error(call.request, attr.error());
    const uint32_t flags = attr->pinned ? FS_IMMUTABLE_FL : 0;
    fsxattr extended{};
    extended.fsx_xflags = attr->pinned ? FS_XFLAG_IMMUTABLE : 0;
    switch (command) {
        case FS_IOC_GETFLAGS:
            return give_answer(call, flags);
        case FS_IOC_FSGETXATTR:
            return give_answer(call, extended);
        // Setting what is there already is what archivers do; a pin is not made this way.
        case FS_IOC_SETFLAGS:
            if (const auto wanted = take_argument<uint32_t>(call)) {
                if (*wanted != flags) return refuse(call, EOPNOTSUPP);
                fuse_reply_ioctl(call.request, 0, nullptr, 0);
            }
            return;
        default:
            if (const auto wanted = take_argument<fsxattr>(call)) {
                if (memcmp(&*wanted, &extended, sizeof extended) != 0)
                    return refuse(call, EOPNOTSUPP);
                fuse_reply_ioctl(call.request, 0, nullptr, 0);
            }
    }
}

bool same_command(unsigned int command, unsigned int known) {
    // The size may differ, as structures grow.
    return _IOC_TYPE(command) == _IOC_TYPE(known) && _IOC_NR(command) == _IOC_NR(known) &&
           _IOC_DIR(command) == _IOC_DIR(known);
}

void ioctl(fuse_req_t request, fuse_ino_t ino, unsigned int command, void*, fuse_file_info* info,
           unsigned flags, const void* in, size_t in_bytes, size_t out_bytes) {
    const bool directory = (flags & FUSE_IOCTL_DIR) != 0;
    const IoctlRequest call{request,
                            file_system(request),
                            ino,
                            directory ? nullptr : opened_file(info),
                            std::span(static_cast<const std::byte*>(in), in_bytes),
                            out_bytes};
    if (same_command(command, EXO_FILE_INFO)) return file_info(call);
    if (same_command(command, EXO_FILE_PIN)) return file_pin(call);
    if (same_command(command, EXO_FILE_UNPIN)) return file_unpin(call);
    if (same_command(command, EXO_FILE_MAP)) return file_map(call);
    if (same_command(command, EXO_FILE_PLACE)) return place(call);
    switch (command) {
        case FITRIM:
            return trim(call);
        case FS_IOC_GETFLAGS:
        case FS_IOC_SETFLAGS:
        case FS_IOC_FSGETXATTR:
        case FS_IOC_FSSETXATTR:
            return attribute_flags(call, command);
        default:
            return refuse(call, ENOTTY);
    }
}

}  // namespace

void set_ioctl_ops(fuse_lowlevel_ops& ops) {
    ops.ioctl = ioctl;
}

}  // namespace exo::fuse
