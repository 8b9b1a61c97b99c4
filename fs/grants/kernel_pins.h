// SPDX-License-Identifier: MIT
// What the file system needs from the kernel module: hold the device, know the mount, pin files and revoke pins.
// The interface is owned here; the implementation over /dev/exo is in dev_exo.h. Decides nothing about files.
#pragma once

#include <linux/exo.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "fs/base/result.h"

namespace exo::grants {

using Uuid = std::span<const uint8_t, EXO_UUID_BYTES>;

// Names one file for ever: an inode number is reused only with another generation.
struct FileId {
    uint64_t ino = 0;
    uint64_t generation = 0;
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

class KernelPins {
  public:
    virtual ~KernelPins() = default;

    // Whether the module still had this volume from a daemon that died, with pins on it.
    virtual bool reattached() const = 0;

    // From now on the files of the mount that `mount_fd` is on can be exchanged for grants.
    virtual Result<void> bind_mount(int mount_fd) = 0;

    // REQUIRES: the data is on stable storage, and stays as it is until unpin() succeeded.
    virtual Result<void> pin(FileId file, uint64_t size_bytes, std::span<const exo_extent> extents) = 0;

    // Blocks for up to `grace` and the drain. After an error (ETIMEDOUT, EINTR) the blocks may still be read and
    // the file stays pinned. ENOENT: there was no such pin.
    virtual Result<Revoked> unpin(FileId file, std::chrono::milliseconds grace) = 0;

    virtual Result<std::vector<KernelPin>> list() = 0;

    // Ends every pin and lets the device go; nothing else may be called afterwards.
    virtual Result<void> detach(std::chrono::milliseconds grace) = 0;
};

// Attaches the volume with this UUID on the open block device. A null pointer: there is no kernel module.
using AttachKernelPins = std::function<Result<std::unique_ptr<KernelPins>>(int device_fd, Uuid uuid)>;

}  // namespace exo::grants
