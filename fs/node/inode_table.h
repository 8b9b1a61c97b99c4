// SPDX-License-Identifier: MIT
// Inode records by number: where they are, which are free, a new one, an old one back. The records
// lie in the inode file, itself an inode of the system block, and grow with it.
#pragma once

#include "fs/node/core.h"

namespace exo {

class InodeTable {
  public:
    explicit InodeTable(const Core& core) : core_(core) {}

    // Counts the free records. Call once after the journal is open.
    Result<> load();

    struct Ref {
        PageRef page;
        const InodeRecord* record;
        const InodeRecord* operator->() const { return record; }
    };
    // REQUIRES: reader or handle held. ESTALE when the number is not in use; also serves system
    // inodes.
    Result<Ref> read(Ino ino) const;
    Result<InodeRecord*> modify(Handle& handle, Ino ino);

    // A free number with an all-zero record but for mode, generation and 0 links.
    Result<Ino> allocate(Handle& handle, uint32_t mode);
    Result<> release(Handle& handle, Ino ino);

    uint64_t used() const { return used_.load(std::memory_order_relaxed); }
    // Highest number + 1 that has a record.
    Result<uint64_t> limit() const;
    // The record whatever it holds; for fsck.
    Result<Ref> read_any(Ino ino) const;

  private:
    struct Place {
        BlockNo block;
        BlockType type;
        unsigned slot;
    };
    Result<Place> locate(Ino ino) const;
    Result<BlockNo> inode_file_block(uint64_t index) const;
    Result<> grow(Handle& handle);
    Result<Ino> find_free(uint64_t initialised_blocks);

    const Core& core_;
    // Guarded by the journal's meta lock (changed by handles only).
    Ino cursor_ = kFirstFreeIno;
    uint64_t free_ = 0;
    std::atomic<uint64_t> used_{0};
};

// Records that an inode file of so many initialised blocks has room for.
uint64_t inodes_in_blocks(uint64_t blocks);

}  // namespace exo
