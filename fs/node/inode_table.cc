// SPDX-License-Identifier: MIT
#include "fs/node/inode_table.h"

#include <algorithm>
#include <cstring>

#include "fs/node/extent_map.h"

namespace exo {

namespace {
// The inode file grows by an eighth, so that it stays in few extents.
constexpr uint64_t kMinGrowBlocks = 16, kMaxGrowBlocks = 2048;

uint32_t next_generation(uint32_t generation) {
    return generation == UINT32_MAX ? 1 : generation + 1;
}
}  // namespace

uint64_t inodes_in_blocks(uint64_t blocks) {
    const uint64_t groups = blocks / kInodeGroupBlocks, rest = blocks % kInodeGroupBlocks;
    return groups * kInodesPerGroup + (rest > 1 ? (rest - 1) * kInodesPerBlock : 0);
}

Result<BlockNo> InodeTable::inode_file_block(uint64_t index) const {
    if (index < mapped_blocks_) {
        const auto above = std::ranges::upper_bound(extents_, index, {}, &Extent::file_block);
        const Extent& extent = *std::prev(above);
        return extent.disk + (index - extent.file_block);
    }
    const ExtentMap map(core_, const_cast<InodeTable&>(*this), kInodeFileIno);
    EXO_TRY_ASSIGN(const Segment extent, map.extent_before(index + 1));
    if (extent.count == 0 || extent.file_block + extent.count <= index)
        return fail(EUCLEAN, "the inode file has a hole at block " + std::to_string(index) +
                                 ": run fsck.exo");
    return extent.disk + (index - extent.file_block);
}

// The next block of the inode file is initialised for good, and lies there.
void InodeTable::note_mapped(uint64_t index, BlockNo disk) {
    if (index != mapped_blocks_) return;  // a hole before it: leave it to the tree
    if (extents_.empty() || extents_.back().disk + (index - extents_.back().file_block) != disk)
        extents_.push_back({index, disk});
    mapped_blocks_ = index + 1;
}

Result<InodeTable::Place> InodeTable::locate(Ino ino) const {
    if (ino >= kSystemInoBase) {
        if (ino - kSystemInoBase >= kSystemInodes) return fail(ESTALE);
        return Place{kSystemPlace, BlockType::kSystem, unsigned(ino - kSystemInoBase)};
    }
    if (ino == 0 || ino >= kMaxIno) return fail(ESTALE);
    const uint64_t index = inode_block_index(ino);
    if (index >= mapped_blocks_) {
        EXO_TRY_ASSIGN(const Ref file, read(kInodeFileIno));
        if (index >= file->size) return fail(ESTALE);
    }
    EXO_TRY_ASSIGN(const BlockNo block, inode_file_block(index));
    return Place{block, BlockType::kInodes, inode_slot(ino)};
}

Result<InodeTable::Ref> InodeTable::read_any(Ino ino) const {
    EXO_TRY_ASSIGN(const Place place, locate(ino));
    EXO_TRY_ASSIGN(PageRef page, core_.journal.read(place.block, place.type, 0));
    const InodeRecord* record = &page->as<InodeBlock>()->records[place.slot];
    return Ref{std::move(page), record};
}

Result<InodeTable::Ref> InodeTable::read(Ino ino) const {
    EXO_TRY_ASSIGN(Ref ref, read_any(ino));
    if (ref->mode == 0) return fail(ESTALE);
    return ref;
}

Result<InodeRecord*> InodeTable::modify(Handle& handle, Ino ino) {
    EXO_TRY_ASSIGN(const Place place, locate(ino));
    EXO_TRY_ASSIGN(Page * page, core_.journal.modify(handle, place.block, place.type, 0));
    InodeRecord* record = &page->as<InodeBlock>()->records[place.slot];
    if (record->mode == 0) return fail(ESTALE);
    return record;
}

Result<uint64_t> InodeTable::limit() const {
    EXO_TRY_ASSIGN(const Ref file, read(kInodeFileIno));
    return inodes_in_blocks(file->size);
}

Result<> InodeTable::need(std::span<const Ino> inos) const {
    std::vector<BlockNo> blocks;
    for (const Ino ino : inos) {
        const auto place = locate(ino);
        if (place && (blocks.empty() || blocks.back() != place->block))
            blocks.push_back(place->block);
    }
    return core_.journal.need(blocks, BlockType::kInodes, 0);
}

Result<> InodeTable::load() {
    auto reader = core_.journal.reader();
    EXO_TRY_ASSIGN(const Ref file, read(kInodeFileIno));
    const uint64_t blocks = file->size, end = inodes_in_blocks(blocks);
    // Where this fails, those who need the block are told.
    (void)ExtentMap(core_, *this, kInodeFileIno).for_each(0, [&](const Segment& segment) {
        if (segment.file_block != mapped_blocks_ || segment.file_block >= blocks) return false;
        extents_.push_back({segment.file_block, segment.disk});
        mapped_blocks_ = std::min(segment.file_block + segment.count, blocks);
        return true;
    });
    uint64_t free = 0;
    for (Ino base = 0; base < end; base += kInodesPerGroup) {
        EXO_TRY_ASSIGN(const BlockNo block, inode_file_block(inode_bitmap_index(base)));
        EXO_TRY_ASSIGN(PageRef page, core_.journal.read(block, BlockType::kInodeBitmap, 0));
        const uint8_t* bits = page->as<BitmapBlock>()->bits;
        const uint64_t stop = std::min(kInodesPerGroup, end - base);
        uint32_t here = 0;
        for (uint64_t at = bits_find(bits, 0, stop, false); at < stop;
             at = bits_find(bits, at + 1, stop, false))
            here++;
        add_free(base / kInodesPerGroup, here);
        free += here;
    }
    used_ = end - free;
    return {};
}

void InodeTable::add_free(uint64_t group, uint32_t count) {
    if (group >= free_.size()) free_.resize(group + 1);
    free_[group] += count;
    if (free_[group] > 0) groups_with_free_.insert(group);
}

void InodeTable::take_free(uint64_t group) {
    if (group >= free_.size() || free_[group] == 0) return;
    if (--free_[group] == 0) groups_with_free_.erase(group);
}

// Initialises one more block of records, and before the first of a group its bitmap.
Result<> InodeTable::grow(Handle& handle) {
    for (;;) {
        EXO_TRY_ASSIGN(const Ref file, read(kInodeFileIno));
        const uint64_t index = file->size;
        if (inodes_in_blocks(index) >= kMaxIno - kInodesPerGroup) return fail(ENOSPC);
        ExtentMap map(core_, *this, kInodeFileIno);
        EXO_TRY_ASSIGN(const Segment last, map.extent_before(index + 1));
        if (last.count == 0 || last.file_block + last.count <= index) {
            const uint64_t want = std::clamp(index / 8, kMinGrowBlocks, kMaxGrowBlocks);
            EXO_TRY_ASSIGN(Reservation room, core_.allocator.reserve(want, last.disk + last.count,
                                                                     Purpose::kMetadata));
            EXO_TRY_ASSIGN(const BlockRun run, core_.allocator.allocate(handle, std::move(room)));
            EXO_TRY(map.insert(handle, index, run, false));
            EXO_TRY_ASSIGN(InodeRecord * record, modify(handle, kInodeFileIno));
            record->blocks = record->blocks + run.count;
        }
        EXO_TRY_ASSIGN(const BlockNo block, inode_file_block(index));
        const bool bitmap = index % kInodeGroupBlocks == 0;
        EXO_TRY(core_.journal.create(handle, block,
                                     bitmap ? BlockType::kInodeBitmap : BlockType::kInodes, 0));
        EXO_TRY_ASSIGN(InodeRecord * record, modify(handle, kInodeFileIno));
        record->size = index + 1;
        handle.on_commit([this, index, block] { note_mapped(index, block); });
        if (!bitmap) return {};
    }
}

// The first free number at or after the cursor, round once; 0 when all are in use. Looks only into
// groups that have free ones.
Result<Ino> InodeTable::find_free(uint64_t initialised_blocks) {
    const uint64_t end = inodes_in_blocks(initialised_blocks);
    if (cursor_ >= end) cursor_ = kFirstFreeIno;
    const auto search = [&](uint64_t group, uint64_t from) -> Result<Ino> {
        const uint64_t base = group * kInodesPerGroup;
        EXO_TRY_ASSIGN(const BlockNo block, inode_file_block(inode_bitmap_index(base)));
        EXO_TRY_ASSIGN(PageRef page, core_.journal.read(block, BlockType::kInodeBitmap, 0));
        const uint64_t stop = std::min(kInodesPerGroup, end - base);
        const uint64_t at = bits_find(page->as<BitmapBlock>()->bits, from, stop, false);
        return at < stop ? base + at : Ino(0);
    };
    const uint64_t first = cursor_ / kInodesPerGroup;
    if (groups_with_free_.contains(first)) {
        EXO_TRY_ASSIGN(const Ino ino, search(first, cursor_ % kInodesPerGroup));
        if (ino != 0) return ino;
    }
    auto next = groups_with_free_.upper_bound(first);
    for (size_t i = 0; i < groups_with_free_.size(); i++, ++next) {
        if (next == groups_with_free_.end()) next = groups_with_free_.begin();
        EXO_TRY_ASSIGN(const Ino ino, search(*next, 0));
        if (ino != 0) return ino;
    }
    return Ino(0);
}

Result<Ino> InodeTable::allocate(Handle& handle, uint32_t mode) {
    Ino ino = 0;
    bool grown = false;
    if (!groups_with_free_.empty()) {
        EXO_TRY_ASSIGN(const Ref file, read(kInodeFileIno));
        EXO_TRY_ASSIGN(ino, find_free(file->size));
    }
    if (ino == 0) {
        EXO_TRY_ASSIGN(const uint64_t before, limit());
        EXO_TRY(grow(handle));
        ino = before;
        grown = true;
    }
    EXO_TRY_ASSIGN(const BlockNo bitmap, inode_file_block(inode_bitmap_index(ino)));
    EXO_TRY_ASSIGN(Page * bits, core_.journal.modify(handle, bitmap, BlockType::kInodeBitmap, 0));
    bits_fill(bits->as<BitmapBlock>()->bits, ino % kInodesPerGroup, 1, true);
    EXO_TRY_ASSIGN(const Place place, locate(ino));
    EXO_TRY_ASSIGN(Page * page, core_.journal.modify(handle, place.block, place.type, 0));
    InodeRecord& record = page->as<InodeBlock>()->records[place.slot];
    if (record.mode != 0)
        return fail(EUCLEAN,
                    "inode " + std::to_string(ino) + " is in use but marked free: run fsck.exo");
    const uint32_t generation = next_generation(record.generation);
    memset(static_cast<void*>(&record), 0, sizeof record);
    record.mode = mode;
    record.generation = generation;
    handle.on_commit([this, ino, grown] {
        cursor_ = ino + 1;
        if (grown) add_free(ino / kInodesPerGroup, kInodesPerBlock);
        take_free(ino / kInodesPerGroup);
        used_++;
    });
    return ino;
}

Result<> InodeTable::release(Handle& handle, Ino ino) {
    EXO_TRY_ASSIGN(InodeRecord * record, modify(handle, ino));
    const uint32_t generation = record->generation;
    memset(static_cast<void*>(record), 0, sizeof *record);
    record->generation = generation;
    EXO_TRY_ASSIGN(const BlockNo bitmap, inode_file_block(inode_bitmap_index(ino)));
    EXO_TRY_ASSIGN(Page * bits, core_.journal.modify(handle, bitmap, BlockType::kInodeBitmap, 0));
    bits_fill(bits->as<BitmapBlock>()->bits, ino % kInodesPerGroup, 1, false);
    handle.on_commit([this, ino] {
        add_free(ino / kInodesPerGroup, 1);
        used_--;
    });
    return {};
}

}  // namespace exo
