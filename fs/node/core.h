// SPDX-License-Identifier: MIT
// What everything above the allocator works with.
#pragma once

#include <array>

#include "fs/alloc/allocator.h"
#include "fs/device/block_device.h"
#include "fs/format/inode.h"
#include "fs/format/superblock.h"
#include "fs/journal/journal.h"

namespace exo {

struct Core {
    BlockDevice& device;
    const Superblock& superblock;
    Journal& journal;
    Allocator& allocator;
    std::array<uint8_t, 16> hash_key;
};

}  // namespace exo
