// SPDX-License-Identifier: MIT
#include "fs/fuse/connection.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "fs/base/log.h"
#include "fs/fuse/ops.h"
#include "fs/fuse/raw_requests.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/workers.h"

namespace exo::fuse {
namespace {

constexpr size_t kPageBytes = 4096;
// What a session with the largest requests that libfuse agrees on may send, and its head.
constexpr size_t kRequestBytes = (1u << 20) + kPageBytes;
// The data of a WRITE starts on a page, so that the device can take it from here.
constexpr size_t kWriteHeadBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);

// The buffer of a thread, and the request in it that it serves.
struct Buffer {
    struct Free {
        void operator()(std::byte* memory) const { free(memory); }
    };
    std::unique_ptr<std::byte, Free> memory{
        static_cast<std::byte*>(aligned_alloc(kPageBytes, kPageBytes + kRequestBytes))};
    size_t length = 0;

    std::byte* data() const { return memory.get() + kPageBytes - kWriteHeadBytes; }
};
thread_local Buffer buffer;

template <typename T>
T body_of_request() {
    T body{};
    const auto rest = served_request().subspan(sizeof(fuse_in_header));
    memcpy(&body, rest.data(), std::min(rest.size(), sizeof body));
    return body;
}

const fuse_in_header& head_of_request() {
    return *reinterpret_cast<const fuse_in_header*>(buffer.data());
}

ssize_t read_plainly(int fd, void* memory, size_t length, void*) {
    return read(fd, memory, length);
}

// Adds what we want beyond libfuse's knowledge to its answer to INIT; the kernel lists what it
// offers in the request.
ssize_t send_answer(int fd, iovec* parts, int count, void* user_data) {
    if (buffer.length < sizeof(fuse_in_header) || head_of_request().opcode != FUSE_INIT ||
        count != 2 || parts[1].iov_len < sizeof(fuse_init_out))
        return writev(fd, parts, count);
    fuse_init_out answer;
    memcpy(&answer, parts[1].iov_base, sizeof answer);
    FileSystem& fs = *static_cast<FileSystem*>(user_data);
    const uint32_t added =
        body_of_request<fuse_init_in>().flags & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT);
    answer.flags |= added;
    fs.long_set_xattr = (added & FUSE_SETXATTR_EXT) != 0;
    const iovec changed[2] = {parts[0], {&answer, sizeof answer}};
    return writev(fd, changed, 2);
}

}  // namespace

std::span<const std::byte> served_request() {
    return {buffer.data(), buffer.length};
}

bool kills_privileges() {
    switch (head_of_request().opcode) {
        case FUSE_OPEN:
            return (body_of_request<fuse_open_in>().open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
        case FUSE_WRITE:
            return (body_of_request<fuse_write_in>().write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
        case FUSE_SETATTR:
            return (body_of_request<fuse_setattr_in>().valid & FATTR_KILL_SUIDGID) != 0;
        default:
            // The kernel does not say; it would spare those with CAP_FSETID.
            return head_of_request().uid != 0;
    }
}

Connection::Connection(FileSystem& fs, fuse_session* session)
    : fs_(fs), session_(session), fd_(fuse_session_fd(session)) {}

Result<Connection> Connection::take(FileSystem& fs, fuse_session* session) {
    fuse_custom_io io{};
    io.read = read_plainly;
    io.writev = send_answer;
    const int code = fuse_session_custom_io(session, &io, fuse_session_fd(session));
    if (code != 0) return fail(-code, "the FUSE session cannot take its connection over");
    return Connection(fs, session);
}

Result<> Connection::serve() {
    Workers workers([this] { return wait(); }, [this] { return poll(); }, [this] { serve_one(); });
    return workers.run();
}

bool Connection::wait() {
    while (buffer.memory) {
        const ssize_t length = read(fd_, buffer.data(), kRequestBytes);
        if (fuse_session_exited(session_)) return false;
        if (length >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
            buffer.length = static_cast<size_t>(length);
            return true;
        }
        // ENOENT: the one who asked was interrupted before we got to it.
        if (length < 0 && (errno == ENOENT || errno == EINTR || errno == EAGAIN)) continue;
        if (length < 0 && errno != ENODEV && errno != EBADF)
            log(LogLevel::kError, "reading from /dev/fuse failed: " + describe(Error{errno, {}}));
        break;
    }
    fuse_session_exit(session_);
    return false;
}

bool Connection::poll() const {
    pollfd wait{fd_, POLLIN, 0};
    return ::poll(&wait, 1, 0) != 0;
}

void Connection::serve_one() {
    if (!serve_raw(fs_, fd_)) {
        fuse_buf request{};
        request.mem = buffer.data();
        request.size = buffer.length;
        fuse_session_process_buf(session_, &request);
    }
}

}  // namespace exo::fuse
