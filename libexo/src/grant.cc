// SPDX-License-Identifier: MIT
// Grants, and the traversals that run on them: one or many in a blocking call. Says in words how
// they ended, wherever they ran.
#include "grant.hpp"

#include <sys/ioctl.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "error.hpp"
#include "fd.hpp"
#include "sizes.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;
using exo::internal::give_structure;
using exo::internal::guarded;
using exo::internal::take_options;
using exo::internal::traverse;

namespace {

constexpr uint32_t kDefaultHopBytes = 4096;
constexpr uint32_t kMostShort = std::numeric_limits<uint16_t>::max();

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

// Why a traversal did not start.
std::string refusal(int code) {
    switch (code) {
        case ENOENT:
            return "its program is not attached any more (exo prog list)";
        case EAGAIN: /* through io_uring it is EBUSY */
        case EBUSY:
            return "the grant has as many in flight as it allows";
        case EOPNOTSUPP:
            return "this needs another engine: polled wants a device with poll queues (load nvme "
                   "with poll_queues=N), completion one with a hardware queue, and in a cgroup "
                   "with the io controller only dispatch will do";
        case EKEYREVOKED:
            return "the grant was revoked";
        case EKEYEXPIRED:
            return "the grant's time is over";
        case EACCES:
            return "the grant lacks the right to do that, or is for another program";
        case EINVAL:
            return "flags that do not fit, or hop_bytes over the maximum or no whole blocks";
        case E2BIG:
            return "arguments, result or blocks are larger than the module takes (exo info)";
        case EFAULT:
            return "it has an address that cannot be read or written";
        case ECANCELED:
            return "the batch ended before it";
        default:
            return errno_text(code);
    }
}

constexpr size_t kLargestBatch = 4096;  // to try; the module says if it takes fewer

struct exo_traverse& entry_at(struct exo_traverse* entries, size_t at, size_t entry_bytes) {
    return *reinterpret_cast<struct exo_traverse*>(reinterpret_cast<char*>(entries) +
                                                   at * entry_bytes);
}

int explain_batch(int code, size_t first, size_t last) {
    if (code == ENOTTY) {
        return fail(code, "no batch: this is no grant, or the exo module is older than batches");
    }
    return fail(code, "no batch: traversals %zu to %zu: %s", first, last,
                code == EFAULT ? "one lies where memory cannot be read or written"
                               : errno_text(code).c_str());
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
    request.weight = options.weight;
    request.rate_reads = options.rate_reads;
    request.rate_bytes = options.rate_bytes;
    int grant = ioctl(device.get(), EXO_IOC_GRANT_OPEN, &request);
    return grant < 0 ? explain_grant(errno) : grant;
}

int exo_grant__info(int grant_fd, struct exo_grant_entry* info, size_t bytes) {
    struct exo_grant_entry answer = {};
    if (ioctl(grant_fd, EXO_GRANT_INFO, &answer) < 0) {
        int code = errno;
        return fail(code, "cannot ask about the grant: %s", errno_text(code).c_str());
    }
    give_structure(answer, info, bytes);
    return 0;
}

namespace exo::internal {

int traverse(int grant_fd, struct exo_traverse& request) {
    if (ioctl(grant_fd, EXO_GRANT_TRAVERSE, &request) == 0) return 0;
    int code = errno;
    if (code == ENOTTY) return fail(code, "no traversal: this is no grant");
    return fail(code, "no traversal by program %u: %s", request.program_id, refusal(code).c_str());
}

}  // namespace exo::internal

int exo_grant__traverse(int grant_fd, uint32_t program_id, const struct exo_traverse_options* given,
                        struct exo_outcome* outcome) {
    return guarded([&] {
        struct exo_traverse_options options;
        int error = take_options(given, options);
        if (error) return error;
        constexpr size_t kMost = std::numeric_limits<uint32_t>::max();
        if (options.args_len > kMost || options.result_len > kMost || options.blocks_len > kMost) {
            return fail(E2BIG, "no traversal by program %u: %s", program_id,
                        refusal(E2BIG).c_str());
        }
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
        request.blocks = reinterpret_cast<uintptr_t>(options.blocks);
        request.blocks_len = static_cast<uint32_t>(options.blocks_len);
        // What does not fit is too large as well as its largest value is.
        request.engine = static_cast<uint16_t>(std::min(options.engine, kMostShort));
        request.fan_out = static_cast<uint16_t>(std::min(options.fan_out, kMostShort));
        request.slot = options.slot;
        error = traverse(grant_fd, request);
        if (!error) *outcome = request.outcome;
        return error;
    });
}

int exo_grant__batch(int grant_fd, struct exo_traverse* entries, size_t count, size_t entry_bytes) {
    return guarded([&] {
        // The module knows which sizes there ever were; here, what is touched must be inside.
        constexpr size_t kTouched =
            offsetof(struct exo_traverse, outcome) + offsetof(struct exo_outcome, value);
        if (entry_bytes < kTouched || entry_bytes % alignof(struct exo_traverse) ||
            entry_bytes > std::numeric_limits<uint32_t>::max()) {
            return fail(EINVAL, "no batch: entries of %zu bytes", entry_bytes);
        }
        for (size_t at = 0; at < count; at++) {
            struct exo_outcome& outcome = entry_at(entries, at, entry_bytes).outcome;
            outcome.cause = EXO_END_NOT_STARTED;
            outcome.error = -ECANCELED;
        }
        size_t largest = kLargestBatch;
        size_t at = 0;
        do {
            struct exo_batch batch = {};
            batch.traversals =
                count ? reinterpret_cast<uintptr_t>(&entry_at(entries, at, entry_bytes)) : 0;
            batch.count = static_cast<uint32_t>(std::min(count - at, largest));
            batch.entry_bytes = static_cast<uint32_t>(entry_bytes);
            if (ioctl(grant_fd, EXO_GRANT_BATCH, &batch) == 0) {
                at += batch.count;
                continue;
            }
            // Nothing was started. A grant may be all that a process has: it cannot ask /dev/exo.
            if (errno != E2BIG || batch.count < 2) {
                return explain_batch(errno, at, at + batch.count);
            }
            largest = batch.count / 2;
        } while (at < count);
        return 0;
    });
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
        case EXO_END_NOT_STARTED:
            return "not started";
        case EXO_END_EXPIRED:
            return "grant expired";
        case EXO_END_BAD_SLOT:
            return "no such slot in the set";
        case EXO_END_DENIED:
            return "denied by the slot's grant";
        case EXO_END_IN_FLIGHT_LIMIT:
            return "in-flight limit of the slot's grant reached";
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
        case EXO_END_NOT_STARTED:
            code = outcome->error < 0 ? -outcome->error : EIO;
            break;
        case EXO_END_OUT_OF_RANGE:
            code = ERANGE;
            break;
        case EXO_END_OUT_OF_FILE:
            code = ENXIO;
            break;
        case EXO_END_BAD_LENGTH:
        case EXO_END_BAD_SLOT:
            code = EINVAL;
            break;
        case EXO_END_DENIED:
            code = EACCES;
            break;
        case EXO_END_IN_FLIGHT_LIMIT:
            code = EAGAIN;
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
        case EXO_END_EXPIRED:
            code = EKEYEXPIRED;
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
    if (outcome->cause == EXO_END_NOT_STARTED) {
        return fail(code, "%s: no traversal: %s", what, refusal(code).c_str());
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
