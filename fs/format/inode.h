// SPDX-License-Identifier: MIT
// Inode records and the values of the trees that hang below them.
#pragma once

#include <sys/stat.h>

#include "fs/format/block.h"
#include "fs/format/layout.h"
#include "fs/format/tree_node.h"

namespace exo {

inline constexpr size_t kDataRootBytes = 256;
inline constexpr size_t kXattrRootBytes = 124;

// Inode flags.
inline constexpr uint32_t kInodePinned = 1u << 0;     // persistent pin; listed in the pin index
inline constexpr uint32_t kInodeOrphan = 1u << 1;     // listed in the orphan index
inline constexpr uint32_t kInodeTailStale = 1u << 2;  // bytes past the end in the last block are
                                                      // not known to be zero (after a truncate)
inline constexpr uint32_t kInodeKnownFlags = 0x7;

// mode 0: the record is free; its generation and nothing else is kept.
struct InodeRecord {
    le32 mode;
    le32 nlink;
    le32 uid;
    le32 gid;
    le32 generation;  // of the current or last use; 0: never used
    le32 flags;
    le64 size;  // files, symlinks: bytes; directories: entries; the inode file: initialised blocks
    le64 blocks;  // all blocks that belong to the inode: data and tree nodes
    les64 atime_s;
    les64 mtime_s;
    les64 ctime_s;
    les64 btime_s;
    le32 atime_ns;
    le32 mtime_ns;
    le32 ctime_ns;
    le32 btime_ns;
    le64 rdev;     // character and block devices: major << 32 | minor
    le64 parent;   // directories: what ".." names
    le64 changes;  // counts up with every change
    uint8_t reserved[16];
    std::byte data_root[kDataRootBytes];    // tree: extents, entries, symlink target, index
    std::byte xattr_root[kXattrRootBytes];  // tree of extended attributes
};
static_assert(sizeof(InodeRecord) == 508 && std::has_unique_object_representations_v<InodeRecord>);

struct InodeBlock {
    BlockHeader header;
    InodeRecord records[kInodesPerBlock];
};
static_assert(sizeof(InodeBlock) == kBlockBytes);

struct BitmapBlock {
    BlockHeader header;
    uint8_t bits[kBodyBytes];  // bit i is bit i%8 of byte i/8; set: used
};
static_assert(sizeof(BitmapBlock) == kBlockBytes);

struct TreeBlock {
    BlockHeader header;
    std::byte area[kBodyBytes];
};
static_assert(sizeof(TreeBlock) == kBlockBytes);

// Value of a regular file's tree; the key is the first file block.
inline constexpr uint32_t kExtentUnwritten = 1u << 0;
struct ExtentValue {
    le64 disk_block;
    le32 length_blocks;
    le32 flags;
};
static_assert(sizeof(ExtentValue) == 16);
inline constexpr uint32_t kMaxExtentBlocks = 1u << 30;
inline constexpr uint64_t kMaxFileBlocks = 1ull << 50;
inline constexpr uint64_t kMaxFileBytes = kMaxFileBlocks * kBlockBytes;

// Value of a directory's tree, followed by the name. The key is (hash << 8 | tie), see directory.h.
struct EntryValue {
    le64 ino;
    uint8_t type;  // mode >> 12
};
static_assert(sizeof(EntryValue) == 9);

// Value of the pin and orphan indexes; the key is the inode number.
struct IndexValue {
    le32 generation;
    le32 reserved;
};
static_assert(sizeof(IndexValue) == 8);

// Tree of extended attributes: the first piece of each starts with this, then name, then value.
inline constexpr size_t kAttributePieceBytes = 1000;
struct AttributeHead {
    le32 value_bytes;
    uint8_t name_bytes;
};
static_assert(sizeof(AttributeHead) == 5);

inline constexpr size_t kMaxSymlinkBytes = 4095;
// A symlink's target is cut into values of this size; the key counts from 0.
inline constexpr size_t kSymlinkPieceBytes = 1000;

// Whether the type bits of a mode name a type of file that a record may have.
bool file_type_known(uint32_t mode);
bool inode_record_valid(const InodeRecord& record);

// Bit runs in a bitmap. REQUIRES: first + count within the bitmap
bool bits_all(const uint8_t* bits, uint64_t first, uint64_t count, bool set);
void bits_fill(uint8_t* bits, uint64_t first, uint64_t count, bool set);
inline bool bit_test(const uint8_t* bits, uint64_t i) {
    return bits[i / 8] >> (i % 8) & 1;
}
// First bit >= from of the given value, or `end`.
uint64_t bits_find(const uint8_t* bits, uint64_t from, uint64_t end, bool set);

}  // namespace exo
