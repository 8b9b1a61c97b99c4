// SPDX-License-Identifier: MIT
// Grants and the traversals that run on them, one blocking call each.
#include <sys/ioctl.h>

#include <cstdio>

#include "error.hpp"
#include "exo/exo.h"
#include "fd.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;
using exo::internal::take_options;

namespace {

constexpr uint32_t kDefaultHopBytes = 4096;

int explain_grant(int code) {
    switch (code) {
        case EBADF:
            return fail(code, "no grant: the file is not open for reading");
        case EXDEV:
            return fail(code, "no grant: the file is not on an exo mount that the module serves");
        case ENODATA:
            return fail(code, "no grant: the file is not pinned (exo pin FILE)");
        case ESTALE:
            return fail(code, "no grant: the pin is of an older file with this inode number");
        case ERANGE:
            return fail(code, "no grant: the range is outside the file or not aligned to blocks");
        case EKEYREVOKED:
            return fail(code, "no grant: the file is being unpinned");
        case EUSERS:
            return fail(code, "no grant: this user has as many as allowed; close some");
        default:
            return fail(code, "no grant: %s", errno_text(code).c_str());
    }
}

}  // namespace

int exo_grant__open(int file_fd, const struct exo_grant_options* given) {
    struct exo_grant_options options;
    int error = take_options(given, options);
    if (error) return error;
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    struct exo_grant_open request = {};
    request.file_fd = file_fd;
    request.range_start = options.range_start;
    request.range_len = options.range_len;
    request.hop_limit = options.hop_limit;
    request.in_flight_limit = options.in_flight_limit;
    int grant = ioctl(device.get(), EXO_IOC_GRANT_OPEN, &request);
    return grant < 0 ? explain_grant(errno) : grant;
}

int exo_grant__info(int grant_fd, struct exo_grant_entry* info) {
    if (ioctl(grant_fd, EXO_GRANT_INFO, info) == 0) return 0;
    int code = errno;
    return fail(code, "cannot ask about the grant: %s", errno_text(code).c_str());
}

int exo_grant__traverse(int grant_fd, uint32_t program_id, const struct exo_traverse_options* given,
                        struct exo_outcome* outcome) {
    struct exo_traverse_options options;
    int error = take_options(given, options);
    if (error) return error;
    struct exo_traverse request = {};
    request.flags = options.flags;
    request.program_id = program_id;
    request.start_offset = options.start_offset;
    request.hop_bytes = options.hop_bytes ? options.hop_bytes : kDefaultHopBytes;
    request.hop_limit = options.hop_limit;
    request.timeout_ms = options.timeout_ms;
    request.args = reinterpret_cast<uintptr_t>(options.args);
    request.args_len = static_cast<uint32_t>(options.args_len);
    request.result = reinterpret_cast<uintptr_t>(options.result);
    request.result_len = static_cast<uint32_t>(options.result_len);
    if (ioctl(grant_fd, EXO_GRANT_TRAVERSE, &request) == 0) {
        *outcome = request.outcome;
        return 0;
    }
    int code = errno;
    switch (code) {
        case ENOENT:
            return fail(code, "no program %u is attached: it was unloaded (exo prog list)",
                        program_id);
        case EAGAIN:
            return fail(code, "the grant has as many traversals in flight as it allows");
        case EOPNOTSUPP:
            return fail(code,
                        "the device has no poll queues (load nvme with poll_queues=N), so polled "
                        "mode is not possible");
        case EKEYREVOKED:
            return fail(code, "the grant was revoked: the file was unpinned");
        case ENOTTY:
            return fail(code, "not a grant");
        default:
            return fail(code, "the traversal did not start: %s", errno_text(code).c_str());
    }
}

const char* exo_end__name(uint32_t cause) {
    switch (cause) {
        case EXO_END_DONE:
            return "done";
        case EXO_END_PROGRAM:
            return "program gave up";
        case EXO_END_OUT_OF_RANGE:
            return "outside the grant's range";
        case EXO_END_OUT_OF_FILE:
            return "outside the file";
        case EXO_END_BAD_LENGTH:
            return "read of no or too many bytes";
        case EXO_END_IO:
            return "I/O error";
        case EXO_END_HOP_LIMIT:
            return "hop limit reached";
        case EXO_END_TIMEOUT:
            return "timeout";
        case EXO_END_CANCELLED:
            return "cancelled";
        case EXO_END_REVOKED:
            return "grant revoked";
        case EXO_END_DETACHED:
            return "program detached";
        case EXO_END_BAD_VERDICT:
            return "program gave no verdict";
        case EXO_END_NO_REQUEST:
            return "device queue not available";
        default:
            return "unknown end";
    }
}

int exo_outcome__check(const struct exo_outcome* outcome, const char* what) {
    int code = EIO;
    switch (outcome->cause) {
        case EXO_END_DONE:
            return 0;
        case EXO_END_PROGRAM:
        case EXO_END_IO:
        case EXO_END_NO_REQUEST:
            code = outcome->error < 0 ? -outcome->error : EIO;
            break;
        case EXO_END_OUT_OF_RANGE:
            code = ERANGE;
            break;
        case EXO_END_OUT_OF_FILE:
            code = ENXIO;
            break;
        case EXO_END_BAD_LENGTH:
            code = EINVAL;
            break;
        case EXO_END_HOP_LIMIT:
            code = ELOOP;
            break;
        case EXO_END_TIMEOUT:
            code = ETIMEDOUT;
            break;
        case EXO_END_CANCELLED:
            code = EINTR;
            break;
        case EXO_END_REVOKED:
            code = EKEYREVOKED;
            break;
        case EXO_END_DETACHED:
            code = ESHUTDOWN;
            break;
        case EXO_END_BAD_VERDICT:
            code = EPROTO;
            break;
        default:
            break;
    }
    const char* name = exo_end__name(outcome->cause);
    auto offset = static_cast<unsigned long long>(outcome->file_offset);
    if (outcome->error) {
        return fail(code, "%s: traversal ended at hop %u, offset %llu: %s (%s)", what,
                    outcome->hops, offset, name, errno_text(-outcome->error).c_str());
    }
    return fail(code, "%s: traversal ended at hop %u, offset %llu: %s", what, outcome->hops, offset,
                name);
}
