// SPDX-License-Identifier: MIT
// Where things are: groups and their bitmaps, backup superblocks, inode numbers. Arithmetic only.
#pragma once

#include <cstdint>
#include <vector>

#include "fs/base/ino.h"
#include "fs/format/block.h"

namespace exo {

// A group's bitmap is one block, so a group has as many blocks as its body has bits.
inline constexpr uint64_t kGroupBlocks = kBodyBytes * 8;
static_assert(kGroupBlocks == 32512);

inline constexpr uint64_t kMinVolumeBytes = 16u << 20;
inline constexpr uint64_t kMinVolumeBlocks = kMinVolumeBytes / kBlockBytes;
inline constexpr uint64_t kMaxVolumeBlocks = 1ull << 44;  // 64 PiB
inline constexpr uint64_t kMinLastGroupBlocks = 64;

inline constexpr BlockNo kSuperblockPlace = 0;
inline constexpr BlockNo kSystemPlace = 2;

inline uint64_t group_of(BlockNo block) {
    return block / kGroupBlocks;
}
inline uint64_t group_count(uint64_t size_blocks) {
    return (size_blocks + kGroupBlocks - 1) / kGroupBlocks;
}
// The first block of its group, but in the first group the superblock is there.
inline BlockNo bitmap_place(uint64_t group) {
    return group == 0 ? 1 : group * kGroupBlocks;
}
inline bool is_bitmap_place(BlockNo block) {
    return bitmap_place(group_of(block)) == block;
}
// Backups of the superblock: at 4 MiB, at 1 GiB if the volume is larger, and in the last block.
inline std::vector<BlockNo> backup_places(uint64_t size_blocks) {
    std::vector<BlockNo> places{1024};
    if (size_blocks > 262144 + 1) places.push_back(262144);
    places.push_back(size_blocks - 1);
    return places;
}

// Inode numbers. The inode file is a sequence of inode groups: a bitmap block, then 4064 blocks of
// eight records.
inline constexpr uint64_t kInodesPerBlock = 8;
inline constexpr uint64_t kInodesPerGroup = kBodyBytes * 8;
inline constexpr uint64_t kInodeGroupBlocks = 1 + kInodesPerGroup / kInodesPerBlock;
inline constexpr Ino kFirstFreeIno = 8;  // 0 and 2..7 are never used
inline constexpr Ino kMaxIno = 1ull << 40;

// System inodes live in the system block, not in the inode file; their numbers only name owners.
inline constexpr Ino kSystemInoBase = 1ull << 63;
inline constexpr Ino kInodeFileIno = kSystemInoBase + 0;
inline constexpr Ino kPinIndexIno = kSystemInoBase + 1;
inline constexpr Ino kOrphanIndexIno = kSystemInoBase + 2;
inline constexpr unsigned kSystemInodes = 3;

inline uint64_t inode_bitmap_index(Ino ino) {
    return ino / kInodesPerGroup * kInodeGroupBlocks;
}
inline uint64_t inode_block_index(Ino ino) {
    return inode_bitmap_index(ino) + 1 + ino % kInodesPerGroup / kInodesPerBlock;
}
inline unsigned inode_slot(Ino ino) {
    return unsigned(ino % kInodesPerBlock);
}

}  // namespace exo
