// SPDX-License-Identifier: MIT
#include "fs/fsck/space.h"

#include <algorithm>

#include "fs/format/inode.h"

namespace exo::fsck {

bool Space::plausible(BlockNo start, uint64_t count) const {
    return count > 0 && start > kSystemPlace && start < size_blocks_ &&
           count <= size_blocks_ - start && group_of(start) == group_of(start + count - 1) &&
           !is_bitmap_place(start);
}

bool Space::used(BlockNo block) const {
    const auto& bits = groups_[group_of(block)];
    return bits && bit_test(bits->data(), block % kGroupBlocks);
}

Space::Bits& Space::group(uint64_t index) {
    if (!groups_[index]) groups_[index] = std::make_unique<Bits>(Bits{});
    return *groups_[index];
}

std::vector<BlockRun> Space::claim(BlockNo start, uint64_t count) {
    std::vector<BlockRun> before;
    const BlockNo end = start + count;
    while (start < end) {
        const BlockNo base = group_of(start) * kGroupBlocks;
        const uint64_t first = start - base, last = std::min(end - base, kGroupBlocks);
        uint8_t* bits = group(group_of(start)).data();
        for (uint64_t at = bits_find(bits, first, last, true); at < last;) {
            const uint64_t stop = bits_find(bits, at, last, false);
            before.push_back({base + at, stop - at});
            at = bits_find(bits, stop, last, true);
        }
        bits_fill(bits, first, last - first, true);
        start = base + last;
    }
    return before;
}

void Space::release(BlockNo start, uint64_t count) {
    for (BlockNo block = start; block < start + count; block++)
        bits_fill(group(group_of(block)).data(), block % kGroupBlocks, 1, false);
}

Space::Bits Space::bits(uint64_t index) const {
    Bits bits = groups_[index] ? *groups_[index] : Bits{};
    const uint64_t base = index * kGroupBlocks;
    if (size_blocks_ - base < kGroupBlocks)
        bits_fill(bits.data(), size_blocks_ - base, kGroupBlocks - (size_blocks_ - base), true);
    return bits;
}

}  // namespace exo::fsck
