// SPDX-License-Identifier: MIT
// The superblock: what the volume is and where its few fixed parts are. It fits into one 512-byte
// sector, so that a torn write leaves the old one or the new one.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "fs/format/block.h"
#include "fs/format/layout.h"

namespace exo {

inline constexpr char kSuperblockMagic[8] = {'E', 'X', 'O', 'F', 'S', '\r', '\n', '\x1a'};
inline constexpr uint32_t kFormatVersion = 1;

// Unknown bits: compat are ignored, ro_compat forbid writing, incompat forbid mounting.
inline constexpr uint64_t kKnownCompat = 0;
inline constexpr uint64_t kKnownRoCompat = 0;
inline constexpr uint64_t kKnownIncompat = 0;

inline constexpr uint32_t kStateClean = 0;
inline constexpr uint32_t kStateMounted = 1;  // or not unmounted cleanly
inline constexpr uint32_t kStateError = 2;    // flag: damage was seen; fsck is due

struct Superblock {
    BlockHeader header;
    uint8_t magic[8];
    le32 version;
    le32 block_bytes;
    uint8_t uuid[16];
    char label[32];  // UTF-8, zero-filled
    le64 size_blocks;
    le64 compat;
    le64 ro_compat;
    le64 incompat;
    le64 journal_start;
    le64 journal_blocks;
    le64 system_block;
    le32 group_blocks;
    le32 inode_bytes;
    uint8_t hash_key[16];  // of directory names
    les64 created_s;
    le32 state;
    le32 mount_count;
    les64 mounted_s;
    les64 written_s;
    uint8_t reserved[304];
};
static_assert(sizeof(Superblock) == 512 && std::has_unique_object_representations_v<Superblock>);

// Checks one candidate found at `address` on a device of `device_blocks`. The errors tell apart
// what is no exo file system (ENODEV-like: EMEDIUMTYPE), damaged (EUCLEAN) and unsupported
// (EOPNOTSUPP).
Result<> check_superblock(const Page& page, BlockNo address, uint64_t device_blocks,
                          const std::string& device_name);

uint32_t volume_tag_of(const uint8_t uuid[16]);

}  // namespace exo
