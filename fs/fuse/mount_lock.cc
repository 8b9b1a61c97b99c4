// SPDX-License-Identifier: MIT
#include "fs/fuse/mount_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <thread>

namespace exo::fuse {
namespace {

using Clock = std::chrono::steady_clock;

std::string lock_directory() {
    if (geteuid() == 0) return "/run/exo";
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* runtime = getenv("XDG_RUNTIME_DIR");
    return runtime ? std::string(runtime) + "/exo" : std::string();
}

// Named after what the device is, not after its path: a symbolic link must lead to the same lock.
std::string lock_path(const std::string& device) {
    struct stat st;
    const std::string directory = lock_directory();
    if (directory.empty() || stat(device.c_str(), &st) != 0) return {};
    if (S_ISBLK(st.st_mode))
        return directory + "/block-" + std::to_string(major(st.st_rdev)) + "-" +
               std::to_string(minor(st.st_rdev));
    return directory + "/file-" + std::to_string(major(st.st_dev)) + "-" +
           std::to_string(minor(st.st_dev)) + "-" + std::to_string(st.st_ino);
}

bool lock_before(int fd, Clock::time_point deadline) {
    for (;;) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        if (Clock::now() >= deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

std::string read_owner(int fd) {
    char text[4096];
    const ssize_t n = pread(fd, text, sizeof text, 0);
    std::string owner(text, n > 0 ? static_cast<size_t>(n) : 0);
    while (!owner.empty() && owner.back() == '\n') owner.pop_back();
    return owner;
}

}  // namespace

MountLock::~MountLock() {
    // The file stays: removing it would race with the next one that has just opened it.
    if (fd_ >= 0) close(fd_);
}

std::expected<MountLock, std::string> MountLock::acquire(const std::string& device,
                                                         const std::string& directory,
                                                         std::chrono::milliseconds patience) {
    const std::string path = lock_path(device);
    if (path.empty())
        return MountLock();  // nowhere to put it: the device's own exclusive open remains
    // Private: anybody who can open the file could hold the lock and so prevent a mount.
    if (mkdir(lock_directory().c_str(), 0700) != 0 && errno != EEXIST) return MountLock();
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return MountLock();
    MountLock lock(fd);
    if (!lock_before(fd, Clock::now() + patience)) {
        const std::string owner = read_owner(fd);
        return std::unexpected(device + " is already mounted" +
                               (owner.empty() ? std::string() : " (" + owner + ")") +
                               ": umount it first");
    }
    lock.write_owner(directory);
    return lock;
}

bool MountLock::wait_until_free(const std::string& device, std::chrono::milliseconds patience) {
    const std::string path = lock_path(device);
    const int fd = path.empty() ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return true;
    const bool free = lock_before(fd, Clock::now() + patience);
    close(fd);
    return free;
}

void MountLock::write_owner(const std::string& directory) {
    if (fd_ < 0) return;
    const std::string owner = "on " + directory + " by process " + std::to_string(getpid()) + "\n";
    if (ftruncate(fd_, 0) != 0 || pwrite(fd_, owner.data(), owner.size(), 0) < 0) {
        // It only makes a message more helpful.
    }
}

}  // namespace exo::fuse
