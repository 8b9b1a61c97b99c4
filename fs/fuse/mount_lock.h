// SPDX-License-Identifier: MIT
// One daemon per device: a lock file under /run/exo, held for the daemon's life and freed by the
// kernel with it. It also is how umount waits for the daemon's end, and how a second mount learns
// who is in its way.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <string>
#include <utility>

namespace exo::fuse {

class MountLock {
  public:
    MountLock() = default;
    MountLock(MountLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    MountLock& operator=(MountLock&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~MountLock();

    // Takes the lock of the block device or image file `device`, waiting up to `patience` for a
    // daemon that is still finishing. The error is one line for the user.
    static std::expected<MountLock, std::string> acquire(const std::string& device,
                                                         const std::string& directory,
                                                         std::chrono::milliseconds patience);

    // Waits until no daemon holds the lock of `device`. False: it still does.
    static bool wait_until_free(const std::string& device, std::chrono::milliseconds patience);

    // Writes who holds it: the caller, after it became the daemon.
    void write_owner(const std::string& directory);

    int fd() const { return fd_; }  // -1: there is none

  private:
    explicit MountLock(int fd) : fd_(fd) {}
    int fd_ = -1;
};

}  // namespace exo::fuse
