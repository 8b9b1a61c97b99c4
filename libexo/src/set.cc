// SPDX-License-Identifier: MIT
// Sets of grants, on which traversals go from file to file.
#include <sys/ioctl.h>

#include "error.hpp"
#include "exo/exo.h"
#include "fd.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;

namespace {

int explain_set(int code) {
    switch (code) {
        case EBADF:
            return fail(code, "no set: a descriptor is no grant");
        case E2BIG:
            return fail(code, "no set: more grants than the module takes (exo info)");
        case EINVAL:
            return fail(code, "no set: it has no grant");
        default:
            return fail(code, "no set: %s", errno_text(code).c_str());
    }
}

}  // namespace

int exo_set__create(const int* grant_fds, size_t count) {
    if (count > UINT32_MAX) return explain_set(E2BIG);
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    static_assert(sizeof(int) == sizeof(__s32));
    struct exo_set_create request = {};
    request.grant_fds = reinterpret_cast<uintptr_t>(grant_fds);
    request.count = static_cast<uint32_t>(count);
    int set = ioctl(device.get(), EXO_IOC_SET_CREATE, &request);
    return set < 0 ? explain_set(errno) : set;
}
