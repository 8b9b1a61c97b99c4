// SPDX-License-Identifier: MIT
// The kernel's end of a session: reads requests, has libfuse take them apart, and agrees with the
// kernel on what libfuse does not know of. Requests that libfuse cannot pass on are in
// raw_requests; what the others do is in the ops.
#pragma once

#include <cstddef>
#include <span>

#include "fs/base/result.h"
#include "fs/fuse/file_system.h"

struct fuse_session;

namespace exo::fuse {

class Connection {
  public:
    // Takes a mounted session over.
    static Result<Connection> take(FileSystem& fs, fuse_session* session);

    // Serves requests on several threads until the mount is gone.
    Result<> serve();

  private:
    Connection(FileSystem& fs, fuse_session* session);
    bool wait();
    bool poll() const;
    void serve_one();

    FileSystem& fs_;
    fuse_session* session_;
    int fd_;
};

// The request that the calling thread serves, as the kernel sent it.
std::span<const std::byte> served_request();

}  // namespace exo::fuse
