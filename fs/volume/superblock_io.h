// SPDX-License-Identifier: MIT
// Finds the superblock of a device, or a backup of it, and writes the primary.
#pragma once

#include "fs/device/block_device.h"
#include "fs/format/superblock.h"

namespace exo {

struct LoadedSuperblock {
    Superblock superblock;
    bool from_backup = false;  // the primary is damaged
    BlockNo backup = 0;        // where it was found then
};

Result<LoadedSuperblock> load_superblock(BlockDevice& device);

// Seals and writes it durably to `address` (0: the primary).
Result<> store_superblock(BlockDevice& device, const Superblock& superblock, BlockNo address);

}  // namespace exo
