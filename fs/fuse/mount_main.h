// SPDX-License-Identifier: MIT
// The commands behind mount.exo and umount.fuse.exo, as mount(8) and umount(8) run them; `exo
// mount` and `exo umount` are the same with another name. They print nothing on success and one
// line on failure.
#pragma once

#include "fs/grants/kernel_pins.h"

namespace exo::fuse {

// Exit codes of mount(8).
constexpr int kExitUsage = 1;
constexpr int kExitMountFailed = 32;

// mount.exo DEVICE DIRECTORY [-sfnvF] [-N namespace] [-o options]: leaves a daemon behind that
// serves the mount, and returns when processes can use it. -F, --foreground: serves it itself, and
// logs to stderr. argv[0] is what messages begin with.
int mount_main(int argc, char** argv, const grants::KernelModule& module);
int mount_main(int argc, char** argv);  // with the kernel module behind /dev/exo

// umount.fuse.exo DIRECTORY|DEVICE [-flnrv] [-N namespace] [-t type]: returns when the daemon has
// ended, so that the device is free.
int umount_main(int argc, char** argv);

}  // namespace exo::fuse
