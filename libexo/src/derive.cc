// SPDX-License-Identifier: MIT
// Weaker grants made of grants, and taking them back.
#include <sys/ioctl.h>

#include "error.hpp"
#include "exo/exo.h"
#include "fd.hpp"
#include "sizes.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;
using exo::internal::give_structure;
using exo::internal::take_structure;

namespace {

int explain_derive(int code) {
    switch (code) {
        case EINVAL:
            return fail(code, "no derived grant: rights or flags that the module does not know");
        case EACCES:
            return fail(code,
                        "no derived grant: the parent lacks a right that is asked for, or may not "
                        "be derived from, or is for another program");
        case ERANGE:
            return fail(code,
                        "no derived grant: the range is outside the parent's or not aligned "
                        "to blocks");
        case EKEYREVOKED:
            return fail(code, "no derived grant: the parent is being revoked");
        case EKEYEXPIRED:
            return fail(code, "no derived grant: the parent's time is over");
        case ELOOP:
            return fail(code, "no derived grant: too many were derived one from another");
        case EUSERS:
            return fail(code, "no derived grant: this user has as many as allowed; close some");
        default:
            return fail(code, "no derived grant: %s", errno_text(code).c_str());
    }
}

int explain_revoke(int code) {
    switch (code) {
        case EACCES:
            return fail(code, "not revoked: the grant lacks the right to derive");
        case EINTR:
            return fail(code, "not revoked: interrupted; it may be repeated");
        case ETIMEDOUT:
            return fail(code,
                        "the grants are cut, but the device has not completed a read; it may "
                        "be repeated");
        default:
            return fail(code, "not revoked: %s", errno_text(code).c_str());
    }
}

}  // namespace

int exo_grant__derive(int grant_fd, struct exo_grant_derive* terms, size_t bytes) {
    struct exo_grant_derive request;
    int error = take_structure(terms, bytes, request);
    if (error) return error;
    int fd = ioctl(grant_fd, EXO_GRANT_DERIVE, &request);
    if (fd < 0) return explain_derive(errno);
    give_structure(request, terms, bytes);
    return fd;
}

int exo_grant__revoke(int grant_fd, struct exo_grant_revoke* request, size_t bytes) {
    struct exo_grant_revoke ours;
    int error = take_structure(request, bytes, ours);
    if (error) return error;
    if (ioctl(grant_fd, EXO_GRANT_REVOKE, &ours) < 0) return explain_revoke(errno);
    give_structure(ours, request, bytes);
    return 0;
}

int exo_grant__revoke_id(uint64_t grant_id, uint32_t grace_ms, struct exo_revoke_id* result,
                         size_t bytes) {
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    struct exo_revoke_id request = {};
    request.grant_id = grant_id;
    request.grace_ms = grace_ms;
    if (ioctl(device.get(), EXO_IOC_REVOKE_ID, &request) == 0) {
        give_structure(request, result, bytes);
        return 0;
    }
    int code = errno;
    auto id = static_cast<unsigned long long>(grant_id);
    if (code == ENOENT) return fail(code, "no grant %llu: see exo grants", id);
    if (code == EPERM)
        return fail(code, "cannot revoke grant %llu: needs root (CAP_SYS_ADMIN)", id);
    return explain_revoke(code);
}
