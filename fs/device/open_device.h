// SPDX-License-Identifier: MIT
// Opens a block device or an image file for the file system: O_DIRECT where it is possible,
// io_uring where the kernel allows it, plain system calls otherwise.
#pragma once

#include <memory>
#include <string>

#include "fs/device/block_device.h"

namespace exo {

struct DeviceOptions {
    bool read_only = false;
    // Claim a block device for this process, so that nobody else can mount or claim it. False when
    // the kernel module holds the claim on our behalf. Image files are locked (flock) instead.
    bool exclusive = true;
    bool direct = true;  // O_DIRECT; tried, and left out where the file refuses it
    // Called, in the thread that asks, before it waits for the device, and after.
    void (*before_waiting)() = nullptr;
    void (*after_waiting)() = nullptr;
};

Result<std::unique_ptr<BlockDevice>> open_device(const std::string& path,
                                                 const DeviceOptions& options);

}  // namespace exo
