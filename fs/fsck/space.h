// SPDX-License-Identifier: MIT
// Who uses which block, as far as the check has come: a bit per block, kept only for groups in use.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "fs/format/layout.h"

namespace exo::fsck {

class Space {
  public:
    explicit Space(uint64_t size_blocks)
        : size_blocks_(size_blocks), groups_(group_count(size_blocks)) {}

    uint64_t size_blocks() const { return size_blocks_; }
    // True if the range lies in the volume and in one group, off the superblock and the bitmaps.
    bool plausible(BlockNo start, uint64_t count) const;
    bool used(BlockNo block) const;
    // Marks a range; the parts that were marked before are returned.
    // REQUIRES: within the volume
    std::vector<BlockRun> claim(BlockNo start, uint64_t count);
    void release(BlockNo start, uint64_t count);
    // The group's bits as its bitmap should have them, bits past the end set.
    using Bits = std::array<uint8_t, kBodyBytes>;
    Bits bits(uint64_t group) const;

  private:
    Bits& group(uint64_t index);
    uint64_t size_blocks_;
    std::vector<std::unique_ptr<Bits>> groups_;  // null: all free
};

}  // namespace exo::fsck
