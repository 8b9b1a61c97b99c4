// SPDX-License-Identifier: MIT
// A volume's pins: keeps what the disk says and what the kernel module holds in agreement, through
// pin, unpin, a daemon's death and unmount. Excluding writers and checking rights is the caller's
// (fs/fuse).
//
// The order that makes it safe: a pin is on disk (and the data under it durable) before the module
// learns of it, and the module has let go before the disk forgets it. So at any crash the disk
// protects at least the blocks that the module may still read; reconcile() revokes the rest before
// a block is reused.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "fs/grants/kernel_pins.h"
#include "fs/volume/volume.h"

namespace exo::grants {

class Pins {
  public:
    // `kernel` may be null: then nothing can be pinned, but persistent pins stay immutable and can
    // be unpinned.
    Pins(Volume& volume, std::unique_ptr<KernelPins> kernel);

    bool has_kernel() const { return kernel_ != nullptr; }

    // At mount, before anything can change the volume (REQUIRES: opened with defer_orphans):
    // revokes what the module holds beyond the persistent pins on disk, and registers those it
    // lacks. Returns the pinned inodes.
    Result<std::vector<Ino>> reconcile();
    // reconcile() met pins of a daemon that died: applications may be reading through them.
    bool took_over() const { return took_over_; }
    Result<> bind_mount(int mount_fd);

    // The next three REQUIRE that the caller keeps writers and other pin changes of the inode away.
    // Adds a pin; ENODEV without the module.
    Result<> pin(Ino ino, bool persistent);
    // A lease becomes persistent; EEXIST when it already is.
    Result<> make_persistent(Ino ino);
    // Revokes the grants, then makes the file changeable. After an error it is still pinned.
    Result<Revoked> unpin(Ino ino, std::chrono::milliseconds grace);

    // Pinned inodes that have no name any more, and whether somebody holds a grant on them. The
    // last name of a pinned file may go while applications read it through grants; afterwards
    // nobody can say unpin.
    struct Nameless {
        Ino ino;
        bool granted;
    };
    std::vector<Nameless> nameless();

    // At unmount: ends every pin in the module and lets the device go. Persistent ones stay on
    // disk.
    Result<> detach(std::chrono::milliseconds grace);

  private:
    struct Pinned {
        uint32_t generation;
    };

    Result<std::vector<exo_extent>> extent_map(const FileAttr& attr);
    Result<> register_in_kernel(const FileAttr& attr);
    Result<> end_stray_pin(const KernelPin& stray);

    Volume& volume_;
    std::unique_ptr<KernelPins> kernel_;
    bool took_over_ = false;
    std::mutex mutex_;  // guards pinned_; taken before the volume's locks
    // Every pinned inode; one reference on each is ours, so that it can be asked about by number.
    std::unordered_map<Ino, Pinned> pinned_;
};

}  // namespace exo::grants
