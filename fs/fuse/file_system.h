// SPDX-License-Identifier: MIT
// What the operations of one mount share, and an open file. Lives from before the session starts
// until after it ended; every part is safe to use from any thread.
#pragma once

#include <fcntl.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "fs/fuse/background.h"
#include "fs/fuse/open_files.h"
#include "fs/grants/pins.h"
#include "fs/volume/volume.h"

struct fuse_session;

namespace exo::fuse {

// An open file; its address is the handle the kernel gives back to us.
struct OpenFile {
    Ino ino;
    int flags;  // of open(2)
    bool readable() const { return (flags & O_ACCMODE) != O_WRONLY; }
    bool writable() const { return (flags & O_ACCMODE) != O_RDONLY; }
};

struct FileSystem {
    FileSystem(Volume& volume_, grants::Pins& pins_, bool read_only_)
        : volume(volume_), pins(pins_), read_only(read_only_) {}

    Volume& volume;
    grants::Pins& pins;
    const bool read_only;
    OpenFiles open_files;
    Background background;
    fuse_session* session = nullptr;  // set before the first request

    // What INIT settled: SETXATTR comes in its longer form. Set before any other request.
    bool long_set_xattr = false;

    std::mutex leases_mutex;  // guards leases; nothing is called with it held
    std::unordered_map<Ino, const OpenFile*> leases;  // pins that end with this open file

    // Names were removed since the keeper of pins last looked (see pinning.h).
    std::atomic<bool> names_removed = true;
};

}  // namespace exo::fuse
