// SPDX-License-Identifier: MIT
// Turns results of the volume into answers to the kernel. An answer that does not arrive (the
// caller was killed meanwhile) gives back the reference or the open file that it carried.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#include <string_view>

#include "fs/fuse/file_system.h"

namespace exo::fuse {

// Only this daemon changes the volume, and the kernel sees every change it asked for: what it knows
// stays true.
constexpr double kCacheSeconds = 365.0 * 86400;

// st_blksize: what copying programs take as a hint.
constexpr unsigned kPreferredIoBytes = 4096;

inline FileSystem& file_system(fuse_req_t request) {
    return *static_cast<FileSystem*>(fuse_req_userdata(request));
}

// The kernel passes names of any length on. False: the request was answered with ENAMETOOLONG.
bool name_fits(fuse_req_t request, std::string_view name);

struct stat to_stat(const FileAttr& attr);
fuse_entry_param to_entry(const FileAttr& attr);

// Plain errno values have no message: they are the caller's business, not the administrator's.
void log_message(const Error& error);
void reply_error(fuse_req_t request, const Error& error);
void reply(fuse_req_t request, const Result<>& result);
void reply_attr(fuse_req_t request, const Result<FileAttr>& attr);
// The reference that `attr` carries goes to the kernel, which gives it back by FORGET.
void reply_entry(fuse_req_t request, const Result<FileAttr>& attr);

}  // namespace exo::fuse
