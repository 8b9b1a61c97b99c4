// SPDX-License-Identifier: MIT
// What every metadata block has in common: a header with checksum, own address, owner and type.
// No I/O here; docs/FORMAT.md specifies the same in words.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "fs/base/le.h"
#include "fs/base/page.h"
#include "fs/base/result.h"

namespace exo {

inline constexpr uint32_t kBlockMagic = 0x424f5845;  // "EXOB"

enum class BlockType : uint16_t {
    kSuperblock = 1,
    kBitmap = 2,       // of a group's blocks
    kSystem = 3,       // records of the system inodes
    kInodes = 4,       // eight inode records
    kInodeBitmap = 5,  // of inode numbers
    kTreeNode = 6,     // of any inode's tree
    kJournalSuper = 7,
    kJournalDescriptor = 8,
    kJournalCommit = 9,
};

struct BlockHeader {
    le32 magic;       // kBlockMagic
    le32 crc;         // CRC32C of the whole block with this field zero
    le64 address;     // block number where this block belongs
    le64 owner;       // inode number a tree node belongs to; 0 elsewhere
    le16 type;        // BlockType
    le16 reserved;    // 0
    le32 volume_tag;  // CRC32C of the volume's UUID: blocks of an older file system do not pass
};
static_assert(sizeof(BlockHeader) == 32 && std::has_unique_object_representations_v<BlockHeader>);

inline constexpr size_t kBodyBytes = kBlockBytes - sizeof(BlockHeader);

// Fills the header except the checksum, which seal_block computes just before the block is written.
void init_block(Page& page, BlockNo address, BlockType type, uint64_t owner, uint32_t volume_tag);
void seal_block(Page& page);

// Everything that can be known of a block by itself: header, checksum and the structure of its
// body. What it returns is safe to walk without any further bounds check.
Result<> check_block(const Page& page, BlockNo address, BlockType type, uint64_t owner,
                     uint32_t volume_tag);

// The header and the checksum alone.
Result<> check_header(const Page& page, BlockNo address, BlockType type, uint64_t owner,
                      uint32_t volume_tag);

const char* block_type_name(BlockType type);

}  // namespace exo
