// SPDX-License-Identifier: MIT
// Extended attributes: reading, listing and removing them. Setting one is in raw_requests.
#include <span>
#include <string>
#include <string_view>

#include "fs/fuse/ops.h"

namespace exo::fuse {
namespace {

// A caller who gives no room asks for the length.
void reply_bytes(fuse_req_t request, size_t room, std::span<const char> bytes) {
    if (room == 0)
        fuse_reply_xattr(request, bytes.size());
    else if (bytes.size() > room)
        fuse_reply_err(request, ERANGE);
    else
        fuse_reply_buf(request, bytes.data(), bytes.size());
}

void getxattr(fuse_req_t request, fuse_ino_t ino, const char* name, size_t room) {
    const auto value = file_system(request).volume.get_xattr(ino, name);
    if (!value) return reply_error(request, value.error());
    reply_bytes(request, room, {reinterpret_cast<const char*>(value->data()), value->size()});
}

// Names that only root may use are listed to nobody else.
std::string without_trusted(std::string_view names) {
    std::string rest;
    while (!names.empty()) {
        const std::string_view name = names.substr(0, names.find('\0') + 1);
        if (!name.starts_with("trusted.")) rest += name;
        names.remove_prefix(name.size());
    }
    return rest;
}

void listxattr(fuse_req_t request, fuse_ino_t ino, size_t room) {
    auto names = file_system(request).volume.list_xattr(ino);
    if (!names) return reply_error(request, names.error());
    if (fuse_req_ctx(request)->uid != 0) *names = without_trusted(*names);
    reply_bytes(request, room, *names);
}

void removexattr(fuse_req_t request, fuse_ino_t ino, const char* name) {
    reply(request, file_system(request).volume.remove_xattr(ino, name));
}

}  // namespace

void set_xattr_ops(fuse_lowlevel_ops& ops) {
    ops.getxattr = getxattr;
    ops.listxattr = listxattr;
    ops.removexattr = removexattr;
}

}  // namespace exo::fuse
