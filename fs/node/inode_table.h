// SPDX-License-Identifier: MIT
// Inode records by number: where they are, which are free, a new one, an old one back. The records
// lie in the inode file, itself an inode of the system block, and grow with it.
#pragma once

#include <set>
#include <vector>

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
    // Takes care that read() of all of them waits for the device once at most. It may fail with an
    // error for Journal::unlocked_io(), and says nothing of others: read() will.
    Result<> need(std::span<const Ino> inos) const;

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
    void note_mapped(uint64_t index, BlockNo disk);
    void add_free(uint64_t group, uint32_t count);
    void take_free(uint64_t group);

    const Core& core_;
    // The rest is guarded by the journal's meta lock: changed when a handle is committed.
    //
    // Where the inode file is, so that coming to a record costs no descent. Blocks of the file up
    // to mapped_blocks_ stay where they are for ever; what a handle has just added is asked of the
    // tree.
    struct Extent {
        uint64_t file_block;
        BlockNo disk;
    };
    std::vector<Extent> extents_;
    uint64_t mapped_blocks_ = 0;  // initialised ones
    std::vector<uint32_t> free_;  // records by inode group
    std::set<uint64_t> groups_with_free_;
    Ino cursor_ = kFirstFreeIno;
    std::atomic<uint64_t> used_{0};
};

// Records that an inode file of so many initialised blocks has room for.
uint64_t inodes_in_blocks(uint64_t blocks);

}  // namespace exo
