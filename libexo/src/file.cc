// SPDX-License-Identifier: MIT
// Files on an exo mount: pin, unpin, map, place. The requests are served by the file system's daemon.
#include <sys/ioctl.h>

#include "error.hpp"
#include "exo/exo.h"
#include "sizes.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::give_structure;
using exo::internal::take_structure;

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
            return fail(code, "cannot %s: it is a directory", what);
        case EINVAL:
            return fail(code, "cannot %s: not a regular file", what);
        case EBUSY:
            return fail(code, "cannot %s: its pin is just being changed; try again", what);
        case E2BIG:
            return fail(code, "cannot %s: it has more extents than the module takes (exo info)",
                        what);
        case ETIMEDOUT:
            return fail(code, "cannot %s yet: the device has not completed a read; try again",
                        what);
        default:
            return fail(code, "cannot %s: %s", what, errno_text(code).c_str());
    }
}

int explain_place(int code) {
    switch (code) {
        case EINVAL:
            return fail(code, "cannot place the file: that is outside of the file system");
        case ENOENT:
            return fail(code, "cannot place the file: nobody has the other one open");
        case EBADF:
            return fail(code, "cannot place the file: it is not open for writing");
        default:
            return explain(code, "place the file");
    }
}

}  // namespace

int exo_file__info(int fd, struct exo_file_info* info, size_t bytes) {
    struct exo_file_info answer = {};
    if (ioctl(fd, EXO_FILE_INFO, &answer) < 0) return explain(errno, "ask about the file");
    give_structure(answer, info, bytes);
    return 0;
}

int exo_file__pin(int fd, uint32_t flags) {
    struct exo_file_pin request = {};
    request.flags = flags;
    return ioctl(fd, EXO_FILE_PIN, &request) < 0 ? explain(errno, "pin") : 0;
}

int exo_file__unpin(int fd, uint32_t grace_ms, struct exo_file_unpin* result, size_t bytes) {
    struct exo_file_unpin request = {};
    request.grace_ms = grace_ms;
    if (ioctl(fd, EXO_FILE_UNPIN, &request) < 0) return explain(errno, "unpin");
    give_structure(request, result, bytes);
    return 0;
}

int exo_file__map(int fd, struct exo_file_map* map, size_t bytes) {
    struct exo_file_map page;
    int error = take_structure(map, bytes, page);
    if (error) return error;
    if (ioctl(fd, EXO_FILE_MAP, &page) < 0) return explain(errno, "map");
    give_structure(page, map, bytes);
    return 0;
}

int exo_file__place(int fd, uint64_t where, uint32_t flags) {
    struct exo_file_place request = {};
    request.where = where;
    request.flags = flags;
    return ioctl(fd, EXO_FILE_PLACE, &request) < 0 ? explain_place(errno) : 0;
}
