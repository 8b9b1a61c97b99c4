// SPDX-License-Identifier: MIT
// The life of one mount, from opening the device to letting it go: joins volume, kernel module and
// FUSE session in the right order. Runs in the calling process until the mount ends; becoming a
// daemon is mount_main's.
#pragma once

#include <functional>

#include "fs/base/result.h"
#include "fs/fuse/mount_options.h"
#include "fs/grants/kernel_pins.h"

namespace exo::fuse {

// Calls `live` once, when processes can use the mount. Returns after a clean end, or with what
// prevented the mount (then `live` was not called) or its clean end. REQUIRES: SIGINT, SIGTERM and
// SIGHUP are blocked; they end the mount.
Result<> run_mount(const MountRequest& request, const grants::KernelModule& module,
                   const std::function<void()>& live);

// Whether there is an exo file system that this program can mount, without mounting it.
Result<> check_mountable(const MountRequest& request, const grants::KernelModule& module);

}  // namespace exo::fuse
