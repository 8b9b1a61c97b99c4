// SPDX-License-Identifier: MIT
// Pins as processes see them: excludes writers while the volume pins, ends leases with their open
// file, and ends pins that nobody can name any more. The calls wait (for writers, for grace
// periods): not for a thread that serves the kernel.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "fs/fuse/file_system.h"

namespace exo::fuse {

// How long a pin waits for open files whose last descriptor was just closed.
constexpr std::chrono::milliseconds kWriterPatience{1000};
// What holders of grants get when nobody is there to say.
constexpr std::chrono::milliseconds kLeaseGrace{1000};

// Errors: as EXO_FILE_PIN in linux/exo.h, apart from rights. A lease belongs to `file`, whose
// release ends it.
Result<> pin_file(FileSystem& fs, const OpenFile& file, bool persistent);
// Errors: as EXO_FILE_UNPIN. After an error the file is still pinned.
Result<grants::Revoked> unpin_file(FileSystem& fs, Ino ino, std::chrono::milliseconds grace);
// To be called when an open file goes; returns at once.
void end_lease_of(FileSystem& fs, const OpenFile& file);

// Looks now and then for pinned files that lost their last name, and ends their pins once they are
// neither open nor granted to anybody.
class PinKeeper {
  public:
    explicit PinKeeper(FileSystem& fs);
    ~PinKeeper();

  private:
    void work();

    FileSystem& fs_;
    std::mutex mutex_;  // guards stopping_
    std::condition_variable stop_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace exo::fuse
