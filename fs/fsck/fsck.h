// SPDX-License-Identifier: MIT
// Checks a volume without writing to it. A journal that was not yet replayed is replayed in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fs/base/result.h"
#include "fs/device/block_device.h"

namespace exo {

struct FsckOptions {
    uint32_t max_problems = 1000;  // stop collecting after so many
    // Called now and then with the share done, 0..100; may be empty.
    std::function<void(unsigned percent)> progress;
};

struct FsckReport {
    std::vector<std::string> problems;  // plain sentences; empty: the volume is sound
    bool journal_replayed = false;      // in memory: the volume was not unmounted cleanly
    uint64_t inodes = 0;
    uint64_t directories = 0;
    uint64_t orphans = 0;
    uint64_t pins = 0;
    uint64_t used_blocks = 0;
    uint64_t free_blocks = 0;
};

// An error means the check could not be made at all (no superblock, read error at the root).
Result<FsckReport> fsck_check(BlockDevice& device, const FsckOptions& options = {});

}  // namespace exo
