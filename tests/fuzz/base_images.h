// SPDX-License-Identifier: MIT
// The images that fuzz inputs patch: the same content in every run, but for times.
#pragma once

#include <vector>

#include "fs/base/page.h"
#include "tests/support/memory_device.h"

namespace exo::fuzz {

struct BaseImage {
    test::MemoryDevice device;
    std::vector<BlockNo> blocks;  // metadata, the journal's used part included, by address
    BlockNo journal_start;
    uint64_t journal_blocks;
};

// 0: unmounted; 1: a crash with a full log; 2: several inode groups and deep trees; 3: empty; 4:
// extended attributes and ACLs of every size.
inline constexpr unsigned kBaseImages = 5;
const BaseImage& base_image(unsigned which);

}  // namespace exo::fuzz
