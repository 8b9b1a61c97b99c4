// SPDX-License-Identifier: MIT
// What was found, and whether it is to be repaired.
#pragma once

#include "fs/base/ino.h"
#include "fs/fsck/fsck.h"

namespace exo::fsck {

class Problems {
  public:
    Problems(const FsckOptions& options, FsckReport& report) : options_(options), report_(report) {}

    // Notes a problem. True: repair it (in memory; a check alone also does, to see what is behind).
    bool found(Damage damage, std::string text);
    // The repair that found() agreed to could not be made.
    void not_repaired(const std::string& why);

    bool any() const { return report_.found > 0; }
    bool all_safe() const { return all_safe_; }
    uint64_t declined() const { return declined_; }
    // Everything that was agreed to is on the device.
    void all_written();

  private:
    const FsckOptions& options_;
    FsckReport& report_;
    bool all_safe_ = true;
    uint64_t declined_ = 0, agreed_ = 0;
};

inline std::string of(Ino ino) {
    return "inode " + std::to_string(ino);
}

}  // namespace exo::fsck
