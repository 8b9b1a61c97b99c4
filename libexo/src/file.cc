// SPDX-License-Identifier: MIT
// Files on an exo mount: pin, unpin, map. The requests are served by the file system's daemon.
#include <sys/ioctl.h>

#include "error.hpp"
#include "exo/exo.h"

using exo::internal::errno_text;
using exo::internal::fail;

namespace {

// What every request to a file has in common when it fails. The file's name is the caller's to add.
int explain(int code, const char* what) {
    switch (code) {
        case ENOTTY:
        case EOPNOTSUPP:
            return fail(code, "the file is not on an exo mount");
        case ENODEV:
            return fail(code,
                        "cannot %s: the file system was mounted without the exo module; load it "
                        "(modprobe exo) and mount again",
                        what);
        case EACCES:
        case EPERM:
            return fail(code, "cannot %s: needs the right to write the file", what);
        case ETXTBSY:
            return fail(code, "cannot %s: a process has the file open for writing", what);
        case EEXIST:
            return fail(code, "cannot %s: the file is pinned already", what);
        case ENODATA:
            return fail(code, "cannot %s: the file is not pinned", what);
        case EISDIR:
        case EINVAL:
            return fail(code, "cannot %s: only regular files can be pinned", what);
        case ETIMEDOUT:
            return fail(code, "cannot %s yet: the device has not completed a read; try again",
                        what);
        default:
            return fail(code, "cannot %s: %s", what, errno_text(code).c_str());
    }
}

}  // namespace

int exo_file__info(int fd, struct exo_file_info* info) {
    return ioctl(fd, EXO_FILE_INFO, info) < 0 ? explain(errno, "ask about the file") : 0;
}

int exo_file__pin(int fd, uint32_t flags) {
    struct exo_file_pin request = {};
    request.flags = flags;
    return ioctl(fd, EXO_FILE_PIN, &request) < 0 ? explain(errno, "pin") : 0;
}

int exo_file__unpin(int fd, uint32_t grace_ms, struct exo_file_unpin* result) {
    struct exo_file_unpin request = {};
    request.grace_ms = grace_ms;
    if (ioctl(fd, EXO_FILE_UNPIN, &request) < 0) return explain(errno, "unpin");
    if (result) *result = request;
    return 0;
}

int exo_file__map(int fd, struct exo_file_map* map) {
    return ioctl(fd, EXO_FILE_MAP, map) < 0 ? explain(errno, "map") : 0;
}
