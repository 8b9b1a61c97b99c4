// SPDX-License-Identifier: MIT
// Tells umount(8) about a mount. For a mount it has no record of, umount asks statfs() only, sees
// "fuse", and never finds umount.fuse.exo, which waits for the daemon.
#pragma once

#include <string>

namespace exo::fuse {

// Best effort: without the record umount still works, but returns before the device is free.
void record_mount(const std::string& device, const std::string& directory);
// By the daemon before it lets go of its lock, or for a daemon that was killed: later the directory
// may belong to another mount.
void forget_mount(const std::string& directory);

}  // namespace exo::fuse
