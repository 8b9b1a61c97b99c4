// SPDX-License-Identifier: MIT
// Where a file's blocks are on the device: a tree of extents, merged where they touch.
#pragma once

#include <vector>

#include "fs/node/tree.h"

namespace exo {

struct Segment {
    uint64_t file_block;
    uint64_t count;
    BlockNo disk;  // 0: a hole
    bool unwritten;
    bool hole() const { return disk == 0; }
};

class ExtentMap {
  public:
    ExtentMap(const Core& core, InodeTable& inodes, Ino ino, Purpose purpose = Purpose::kMetadata)
        : core_(core), inodes_(inodes), ino_(ino), tree_(core, inodes, ino, purpose) {}

    // REQUIRES for all: reader or handle held.
    // The whole range in order, holes included; at most max_segments (the rest is left out).
    Result<std::vector<Segment>> map(uint64_t first, uint64_t count,
                                     size_t max_segments = SIZE_MAX) const;
    // The first extent that ends after `block`; count 0 if there is none.
    Result<Segment> extent_from(uint64_t block) const;
    // The last extent that starts before `end`; count 0 if there is none.
    Result<Segment> extent_before(uint64_t end) const;

    // REQUIRES: the range is a hole, the run was allocated in this handle
    Result<> insert(Handle& handle, uint64_t first, BlockRun run, bool unwritten);
    // Frees what is mapped in [first, end), from the end down, at most max_pieces extents; returns
    // the end of what may be left: `first` when all is done.
    Result<uint64_t> remove(Handle& handle, uint64_t first, uint64_t end, unsigned max_pieces);
    // Marks [first, first + count) written, or unwritten: its blocks stay, and read as zeros.
    // REQUIRES: it lies within one extent of the other state
    Result<> set_written(Handle& handle, uint64_t first, uint64_t count) {
        return set_state(handle, first, count, false);
    }
    Result<> set_unwritten(Handle& handle, uint64_t first, uint64_t count) {
        return set_state(handle, first, count, true);
    }

    Result<> for_each(uint64_t from, const std::function<bool(const Segment&)>& visit) const;

  private:
    Result<Segment> decode(uint64_t key, std::span<const std::byte> value) const;
    Result<> put(Handle& handle, const Segment& segment);
    Result<> set_state(Handle& handle, uint64_t first, uint64_t count, bool unwritten);

    const Core& core_;
    InodeTable& inodes_;
    Ino ino_;
    Tree tree_;
};

}  // namespace exo
