// SPDX-License-Identifier: MIT
// The log's blocks. Block 0 of the journal is its super; the others are a ring of transactions:
// descriptor, the blocks it names, descriptor, ..., commit.
#pragma once

#include "fs/format/block.h"

namespace exo {

inline constexpr uint64_t kMinJournalBlocks = 256;
inline constexpr uint64_t kMaxJournalBlocks = 1u << 20;

struct JournalSuper {
    BlockHeader header;
    le64 tail_sequence;  // of the oldest transaction that may need replay
    le64 tail_position;  // where in the ring it starts: 1 .. journal_blocks - 1
    le64 journal_blocks;
};
struct JournalTag {
    le64 home;  // where the block belongs
    le32 crc;   // CRC32C of the whole block
    le32 reserved;
};
inline constexpr uint32_t kDescriptorLast = 1u << 0;  // the commit block follows its blocks
inline constexpr unsigned kTagsPerDescriptor = (kBodyBytes - 16) / sizeof(JournalTag);
struct JournalDescriptor {
    BlockHeader header;
    le64 sequence;
    le32 count;
    le32 flags;
    JournalTag tags[kTagsPerDescriptor];
};
static_assert(sizeof(JournalDescriptor) == kBlockBytes);
struct JournalCommit {
    BlockHeader header;
    le64 sequence;
    le32 blocks;  // of the transaction, without this one
    le32 crc;     // CRC32C over the checksums in the headers of the descriptors, in order
    les64 time_s;
};

}  // namespace exo
