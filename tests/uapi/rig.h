// SPDX-License-Identifier: MIT
// What the interface tests share: thin ioctl wrappers, program loading, and a rig of device,
// volume, mount and pinned file. Nothing of libexo, so that a test sees what the kernel says.
#pragma once

#include <linux/exo.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fake_mount.h"
#include "test_args.h"

struct bpf_object;
struct bpf_link;

namespace exo::test {

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() { reset(); }
    void reset();
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// What ioctl() returned, or the negative errno.
template <typename T>
int call(int fd, unsigned long command, T* argument) {
    int ret = ioctl(fd, command, argument);
    return ret < 0 ? -errno : ret;
}

template <typename T>
int call(const Fd& fd, unsigned long command, T* argument) {
    return call(fd.get(), command, argument);
}

// EXO_TEST_DEVICE, or the first NVMe drive.
std::string device_path();
// An NVMe drive by itself, which has all that a device can have: what is not possible there is a
// failure.
bool on_nvme();
Fd open_path(const std::string& path, int flags);
Fd open_exo();

// Fails the test unless the module's counters reach the state that an idle module has.
exo_stats stats();

// Fails the test unless everything in flight ends within a few seconds.
void expect_idle();

constexpr std::array<uint8_t, EXO_UUID_BYTES> kUuid = {0xe0, 1, 2,  3,  4,  5,  6,  7,
                                                       8,    9, 10, 11, 12, 13, 14, 15};

// The fd or a negative errno in `error`.
struct Opened {
    Fd fd;
    int error = 0;
};

Opened attach(const std::string& device, exo_attach* out = nullptr,
              const std::array<uint8_t, EXO_UUID_BYTES>& uuid = kUuid);
Opened open_grant(int file_fd, exo_grant_open request = {});
int bind(const Fd& volume, const FakeMount& mount);
int pin(const Fd& volume, uint64_t ino, uint64_t generation, uint64_t size_bytes,
        const std::vector<exo_extent>& extents);
int unpin(const Fd& volume, uint64_t ino, uint64_t generation, uint32_t grace_ms = 0,
          exo_unpin* out = nullptr);

// A traversal with its own result area.
struct Run {
    int error = 0;  // of the ioctl
    exo_outcome outcome = {};
    std::vector<uint8_t> result;
};

struct RunOptions {
    uint64_t start_offset = 0;
    uint32_t hop_bytes = 4096;
    uint32_t hop_limit = 0;
    uint32_t timeout_ms = 0;
    uint32_t flags = 0;
    uint32_t result_len = 64;
    uint16_t engine = EXO_ENGINE_AUTO;
    uint16_t fan_out = 0;
    uint32_t slot = 0;
};

Run run(int grant_fd, uint32_t program_id, const void* args, size_t args_len,
        const RunOptions& options = {});

template <typename T>
Run run(const Fd& grant, uint32_t program_id, const T& args, const RunOptions& options = {}) {
    return run(grant.get(), program_id, &args, sizeof(args), options);
}

// A program of build/tests/bpf, attached while the object lives.
class Program {
  public:
    explicit Program(const std::string& name);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    uint32_t id() const { return id_; }
    uint64_t map_value(const char* map, uint32_t key) const;
    void detach();

  private:
    bpf_object* object_ = nullptr;
    bpf_link* link_ = nullptr;
    uint32_t id_ = 0;
};

// The same, loaded once and kept: loading takes most of a short test's time. Dropped before tests
// that count programs.
const Program& shared_program(std::string_view name);
void drop_shared_programs();

// Loads an object file and attaches its struct_ops map. An empty string, or the log of what failed.
std::string load_log(const std::string& path);

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kIno = 7;
constexpr uint64_t kGeneration = 3;

// Device attached, mount bound, one file of `size_bytes` pinned at `disk_offset`, one grant on it.
struct Rig {
    explicit Rig(uint64_t size_bytes = kMiB, std::vector<exo_extent> extents = {});
    ~Rig();  // detaches

    FakeMount mount;
    exo_attach info = {};
    Fd volume;
    Fd file;
    Fd grant;

    Opened regrant(exo_grant_open request = {}) { return open_grant(file.get(), request); }
};

// A chain of `blocks` 4 KiB blocks at the beginning of the device, in a scattered order over `span`
// blocks; returns what test_chain must find.
test_chain_result write_chain(const std::string& device, uint32_t blocks, uint32_t span);
void write_device(const std::string& device, uint64_t offset, const void* data, size_t bytes);

}  // namespace exo::test
