// SPDX-License-Identifier: MIT
// What all passes use: records by number, free blocks, the pause between steps.
#include "fs/fsck/check.h"

#include <algorithm>

#include "fs/node/inode_table.h"

namespace exo::fsck {

BlockNo InodeFile::place(uint64_t index) const {
    auto after = std::ranges::upper_bound(extents, index, {}, &Extent::index);
    if (after == extents.begin()) return 0;
    const Extent& extent = *std::prev(after);
    return index - extent.index < extent.count ? extent.disk + (index - extent.index) : 0;
}

InodeFacts& Check::facts(Ino ino) {
    const uint64_t group = ino / kInodesPerGroup;
    if (facts_.size() <= group) facts_.resize(group + 1);
    if (!facts_[group]) facts_[group] = std::make_unique<std::array<InodeFacts, kInodesPerGroup>>();
    return (*facts_[group])[ino % kInodesPerGroup];
}

uint64_t Check::inode_limit() const {
    return inodes_in_blocks(inode_file.size);
}

Result<InodeRecord> Check::record(Ino ino) {
    const BlockNo block =
        ino >= kSystemInoBase ? kSystemPlace : inode_file.place(inode_block_index(ino));
    if (block == 0) return fail(ESTALE);
    EXO_TRY_ASSIGN(const PageRef page, image->read(block));
    return page->as<InodeBlock>()
        ->records[ino >= kSystemInoBase ? ino - kSystemInoBase : inode_slot(ino)];
}

Result<InodeRecord*> Check::edit_record(Ino ino) {
    const BlockNo block =
        ino >= kSystemInoBase ? kSystemPlace : inode_file.place(inode_block_index(ino));
    if (block == 0) return fail(ESTALE);
    EXO_TRY_ASSIGN(Page * page, image->edit(block));
    return &page->as<InodeBlock>()
                ->records[ino >= kSystemInoBase ? ino - kSystemInoBase : inode_slot(ino)];
}

void Check::claim_metadata(BlockNo start, uint64_t count) {
    for (const BlockRun& run : space->claim(start, count))
        contested[run.start] = std::max(contested[run.start], run.start + run.count);
    metadata->claim(start, count);
}

void Check::release(BlockNo start, uint64_t count) {
    space->release(start, count);
    metadata->release(start, count);
    retired->claim(start, count);
}

PageRef Check::bitmap(uint64_t group) {
    if (bitmap_group_ != group) {
        auto page = image->read(bitmap_place(group), BlockType::kBitmap, 0);
        bitmap_ = page ? *page : nullptr;
        bitmap_group_ = group;
    }
    return bitmap_;
}

bool Check::marked_used(BlockNo block) {
    const PageRef page = bitmap(group_of(block));
    return page && bit_test(page->as<BitmapBlock>()->bits, block % kGroupBlocks);
}

// Effort 0: blocks that are free by a sound bitmap, too; 1: in groups whose bitmap is damaged;
// 2: that are marked used although nothing was found to use them.
std::optional<BlockNo> Check::find_free(unsigned effort) {
    for (; cursor_ < sb.size_blocks; cursor_ = (group_of(cursor_) + 1) * kGroupBlocks) {
        const uint64_t group = group_of(cursor_), base = group * kGroupBlocks;
        const PageRef page = bitmap(group);
        if (effort == 1 ? page != nullptr : page == nullptr) continue;
        const Space::Bits used = space->bits(group), given_up = retired->bits(group);
        for (uint64_t i = cursor_ - base; i < kGroupBlocks; i++) {
            if (base + i >= sb.size_blocks) break;
            if (bit_test(used.data(), i) || bit_test(given_up.data(), i)) continue;
            if (effort == 0 && bit_test(page->as<BitmapBlock>()->bits, i)) continue;
            cursor_ = base + i + 1;
            return base + i;
        }
    }
    return std::nullopt;
}

Result<BlockNo> Check::allocate() {
    for (; effort_ < 3; effort_++, cursor_ = 0) {
        if (const auto block = find_free(effort_)) {
            claim_metadata(*block, 1);
            return *block;
        }
    }
    return fail(ENOSPC, "no block is free");
}

Result<> Check::pause(unsigned percent) {
    if (options.progress) options.progress(percent);
    if (options.cancelled && options.cancelled())
        return fail(ECANCELED, "stopped; no repair was written");
    return {};
}

}  // namespace exo::fsck
