// SPDX-License-Identifier: MIT
// What the file system needs from the kernel module: hold the device, know the mount, pin files and
// revoke pins. The interface is owned here; dev_exo.h implements it over /dev/exo. Decides nothing
// about files.
#pragma once

#include <linux/exo.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fs/base/result.h"

namespace exo::grants {

using Uuid = std::span<const uint8_t, EXO_UUID_BYTES>;

// Names one file for ever: an inode number is reused only with another generation.
struct FileId {
    uint64_t ino = 0;
    uint32_t generation = 0;
    bool operator==(const FileId&) const = default;
};

struct KernelPin {
    FileId file;
    uint64_t size_bytes = 0;
    uint32_t extents = 0;
    uint32_t grants = 0;  // open on it
    bool revoking = false;
};

struct Revoked {
    uint32_t grants = 0;
    uint32_t drained_traversals = 0;
    uint64_t drain_ns = 0;
};

// One attached volume. All functions may be called from any thread.
class KernelPins {
  public:
    virtual ~KernelPins() = default;  // without detach(): as if the daemon had died, pins live on

    virtual uint32_t logical_block_bytes() const = 0;

    // From now on the files of the mount that `mount_fd` is on can be exchanged for grants.
    virtual Result<> bind_mount(int mount_fd) = 0;

    // REQUIRES: the data is on stable storage, and stays as it is until unpin() succeeded.
    virtual Result<> pin(FileId file, uint64_t size_bytes, std::span<const exo_extent> extents) = 0;

    // Blocks for up to `grace` and the drain. ENOENT: there is no such pin. After another error
    // (ETIMEDOUT, EINTR) the blocks may still be read, and the pin is still there.
    virtual Result<Revoked> unpin(FileId file, std::chrono::milliseconds grace) = 0;

    virtual Result<std::vector<KernelPin>> list() = 0;

    // Ends every pin and lets the device go; nothing else may be called afterwards.
    virtual Result<> detach(std::chrono::milliseconds grace) = 0;
};

// How a mount reaches the kernel module.
struct KernelModule {
    // Whether it would hold this device; the daemon then opens it without a claim of its own.
    std::function<bool(const std::string& device)> takes;
    std::function<Result<std::unique_ptr<KernelPins>>(const std::string& device, Uuid uuid)> attach;
};

}  // namespace exo::grants
