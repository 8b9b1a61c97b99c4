// SPDX-License-Identifier: MIT
// File descriptors as the fuzzer treats them: opened, closed under calls in progress, duplicated,
// passed to other processes, and used with system calls that they were not made for. Also the
// memory that results go to.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fuzz.h"
#include "mail.h"

namespace exo::fuzz {

Fds::Fds() {
    for (auto& kind : slots_) {
        for (std::atomic<int>& slot : kind) {
            slot = -1;
        }
    }
}

int Fds::any(Random& random, Kind kind) const {
    const auto& slots = slots_[kind];
    size_t first = random.below(slots.size());
    for (size_t i = 0; i < slots.size(); i++) {
        int fd = slots[(first + i) % slots.size()];
        if (fd >= 0) {
            return fd;
        }
    }
    return -1;
}

int Fds::any(Random& random) const {
    return any(random, static_cast<Kind>(random.below(kKinds)));
}

void Fds::put(Random& random, Kind kind, int fd) {
    auto& slots = slots_[kind];
    // Not more of those that only one can hold, and few that take memory.
    size_t room = kind == kVolume || kind == kAudit ? 3 : slots.size();
    int old = slots[random.below(room)].exchange(fd);
    if (old >= 0) {
        close(old);
    }
}

void Fds::close_one(Random& random, Kind kind) {
    auto& slots = slots_[kind];
    int old = slots[random.below(slots.size())].exchange(-1);
    if (old >= 0) {
        close(old);
    }
}

uint64_t Process::hot_address(Random& random, uint64_t room) const {
    if (room >= kHotBytes) {
        room = kHotBytes / 2;
    }
    return reinterpret_cast<uint64_t>(hot) + random.below(kHotBytes - room) / 8 * 8;
}

int fds_open(Task& task) {
    Random& random = task.random;
    Process& process = task.process;
    Kind kind = random.pick({kDevice, kFile, kFile, kFile, kDisk, kFolder, kOther});
    std::string path;
    int flags = O_RDONLY;
    switch (kind) {
        case kDevice:
            path = EXO_DEVICE_PATH;
            flags = random.pick({O_RDWR, O_RDONLY, O_PATH});
            break;
        case kFile:
            path = process.mount + "/file" + std::to_string(random.below(kInos));
            flags = random.one_in(16) ? O_PATH : O_RDONLY;
            break;
        case kDisk:
            path = process.device;
            flags = random.one_in(8) ? O_RDONLY : O_RDWR;
            break;
        case kFolder:
            path = process.mount;
            flags = random.pick({O_RDONLY, O_PATH});
            break;
        default:
            path = random.pick<const char*>({"/dev/null", "/tmp", "/proc/self/maps", "/dev/zero"});
    }
    int fd = open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    process.fds.put(random, kind, fd);
    return 0;
}

int fds_close(Task& task) {
    // Volumes and pins would not live long otherwise.
    Kind kind = static_cast<Kind>(task.random.below(kKinds));
    if (kind == kVolume && !task.random.one_in(8)) {
        return 0;
    }
    task.process.fds.close_one(task.random, kind);
    return 0;
}

int fds_duplicate(Task& task) {
    Kind kind = static_cast<Kind>(task.random.below(kKinds));
    int fd = fcntl(task.process.fds.any(task.random, kind), F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        return -errno;
    }
    task.process.fds.put(task.random, kind, fd);
    return 0;
}

// A message is the kind in one byte, with one fd.
int fds_send(Task& task) {
    Kind kind = task.random.pick({kVolume, kGrant, kGrant, kSet, kAudit, kFile});
    int fd = task.process.fds.any(task.random, kind);
    if (fd < 0) {
        return -EBADF;
    }
    return test::send_fd(task.process.mail, fd, static_cast<char>(kind), MSG_DONTWAIT);
}

int fds_receive(Task& task) {
    char kind = 0;
    int fd = test::receive_fd(task.process.mail, &kind, MSG_DONTWAIT);
    if (fd < 0) {
        return fd;
    }
    task.process.fds.put(task.random, static_cast<Kind>(kind), fd);
    return 0;
}

// What else one can do with a file descriptor, but nothing that writes to the disk.
int fds_poke(Task& task) {
    Random& random = task.random;
    Kind kind = random.pick({kDevice, kVolume, kGrant, kSet, kAudit, kAudit});
    int fd = task.process.fds.any(random, kind);
    auto* hot = reinterpret_cast<void*>(task.process.hot_address(random, 8192));
    pollfd entry = {.fd = fd, .events = static_cast<short>(random.next()), .revents = 0};
    ssize_t ret = 0;
    switch (random.below(9)) {
        case 0:
            // A read of the audit may wait for its next event; not for long, by our own doing.
            ret = read(fd, hot, random.pick<size_t>({0, 1, 136, 4096, 8192}));
            break;
        case 1:
            ret = write(fd, hot, random.below(200));
            break;
        case 2:
            ret = lseek(fd, static_cast<off_t>(random.boundary()), SEEK_SET);
            break;
        case 3: {
            void* map =
                mmap(nullptr, 4096, PROT_READ, random.pick({MAP_SHARED, MAP_PRIVATE}), fd, 0);
            if (map != MAP_FAILED) {
                munmap(map, 4096);
            }
            ret = map == MAP_FAILED ? -1 : 0;
            break;
        }
        case 4:
            ret = fsync(fd);
            break;
        case 5:
            ret = sendfile(task.process.mail, fd, nullptr, 100);
            break;
        case 6:
            ret = fcntl(fd, F_SETFL,
                        kind == kAudit ? O_NONBLOCK : random.pick({0, O_NONBLOCK, O_ASYNC}));
            break;
        default:
            ret = poll(&entry, 1, random.pick({0, 0, 5}));
    }
    return ret < 0 ? -errno : 0;
}

int fds_show(Task& task) {
    std::string path = "/proc/self/fdinfo/" + std::to_string(task.process.fds.any(task.random));
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char text[1024];
    ssize_t ret = read(fd, text, sizeof(text));
    close(fd);
    return ret < 0 ? -errno : 0;
}

int hot_change(Task& task) {
    Random& random = task.random;
    constexpr size_t kPages = Process::kHotBytes / 4096;
    size_t first = random.below(kPages);
    size_t bytes = (1 + random.below(std::min<size_t>(kPages - first, 256))) * 4096;
    std::byte* at = task.process.hot + first * 4096;
    switch (random.below(8)) {
        case 0:
            return munmap(at, bytes);
        case 1:
            return mprotect(at, bytes, PROT_NONE);
        case 2:
            return mprotect(at, bytes, PROT_READ);
        case 3:
            return madvise(at, bytes, MADV_DONTNEED);
        default:
            // More often whole than not.
            return mmap(task.process.hot, Process::kHotBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED
                       ? -errno
                       : 0;
    }
}

}  // namespace exo::fuzz
