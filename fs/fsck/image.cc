// SPDX-License-Identifier: MIT
#include "fs/fsck/image.h"

#include <algorithm>
#include <cstring>

namespace exo::fsck {

Result<PageRef> Image::read(BlockNo block) {
    if (auto it = changed_.find(block); it != changed_.end()) return PageRef(it->second.page);
    if (journal_) {
        if (PageRef waiting = journal_->not_home(block)) return waiting;
    }
    if (auto it = ahead_.find(block); it != ahead_.end()) return it->second;
    MutablePageRef page = allocate_page();
    const uint64_t number = block / kChunkBlocks, first = number * kChunkBlocks;
    const uint64_t count = std::min(kChunkBlocks, size_blocks_ - first);
    Chunk& chunk = chunks_[number % kChunks];
    if (chunk.number != number) {
        if (!chunk.bytes) chunk.bytes = allocate_aligned(kChunkBlocks * kBlockBytes);
        chunk.number = UINT64_MAX;
        if (!device_.read(first * kBlockBytes, chunk.bytes.get(), count * kBlockBytes)) {
            // Something near it cannot be read; perhaps it can.
            EXO_TRY(device_.read(block * kBlockBytes, page->bytes, kBlockBytes));
            return PageRef(page);
        }
        chunk.number = number;
    }
    memcpy(page->bytes, chunk.bytes.get() + (block - first) * kBlockBytes, kBlockBytes);
    return PageRef(page);
}

Result<PageRef> Image::read(BlockNo block, BlockType type, uint64_t owner) {
    EXO_TRY_ASSIGN(PageRef page, read(block));
    if (!changed_.contains(block)) {
        EXO_TRY(check_block(*page, block, type, owner, tag_));
        return page;
    }
    // What was changed here has its structure, and is sealed when it is written.
    const auto* header = page->as<BlockHeader>();
    if (header->type != uint16_t(type) || header->owner != owner)
        return fail(EUCLEAN, "block " + std::to_string(block) + " is something else");
    return page;
}

void Image::read_ahead(const std::vector<BlockNo>& blocks) {
    ahead_.clear();
    std::vector<MutablePageRef> pages;
    std::vector<iovec> buffers;
    pages.reserve(blocks.size());
    buffers.reserve(blocks.size());
    for (size_t i = 0; i < blocks.size(); i++) {
        pages.push_back(allocate_page());
        buffers.push_back({pages.back()->bytes, kBlockBytes});
    }
    std::vector<IoRequest> requests;
    requests.reserve(blocks.size());
    for (size_t i = 0; i < blocks.size(); i++)
        requests.push_back({IoKind::kRead, blocks[i] * kBlockBytes, {&buffers[i], 1}});
    if (!device_.run(requests)) return;  // one by one, then, when they are needed
    for (size_t i = 0; i < blocks.size(); i++) ahead_[blocks[i]] = std::move(pages[i]);
}

Result<Page*> Image::edit(BlockNo block) {
    if (auto it = changed_.find(block); it != changed_.end()) return it->second.page.get();
    EXO_TRY_ASSIGN(const PageRef page, read(block));
    MutablePageRef copy = allocate_page();
    *copy = *page;
    Page* result = copy.get();
    changed_[block] = {std::move(copy), false};
    return result;
}

Page* Image::create(BlockNo block, BlockType type, uint64_t owner) {
    MutablePageRef page = allocate_zero_page();
    init_block(*page, block, type, owner, tag_);
    Page* result = page.get();
    changed_[block] = {std::move(page), type == BlockType::kTreeNode};
    return result;
}

void Image::copy_data(BlockNo from, BlockNo to) {
    if (!copies_.empty()) {
        Copy& last = copies_.back();
        if (last.from + last.count == from && last.to + last.count == to) {
            last.count++;
            return;
        }
    }
    copies_.push_back({from, to, 1});
}

Result<> Image::copy(const Copy& copy) {
    const uint64_t piece = std::min<uint64_t>(copy.count, 256);
    AlignedBuffer buffer = allocate_aligned(piece * kBlockBytes);
    for (uint64_t at = 0; at < copy.count; at += piece) {
        const uint64_t n = std::min(piece, copy.count - at);
        if (!device_.read((copy.from + at) * kBlockBytes, buffer.get(), n * kBlockBytes)) {
            // Block by block; what cannot be read becomes zeros.
            for (uint64_t i = 0; i < n; i++) {
                std::byte* target = buffer.get() + i * kBlockBytes;
                if (!device_.read((copy.from + at + i) * kBlockBytes, target, kBlockBytes))
                    memset(target, 0, kBlockBytes);
            }
        }
        EXO_TRY(device_.write((copy.to + at) * kBlockBytes, buffer.get(), n * kBlockBytes));
    }
    return {};
}

Result<> Image::write_back(Journal& journal) {
    for (const Copy& one : copies_) EXO_TRY(copy(one));
    if (!copies_.empty()) EXO_TRY(device_.flush());
    copies_.clear();
    std::vector<std::pair<bool, BlockNo>> order;
    order.reserve(changed_.size());
    for (const auto& [block, change] : changed_) order.emplace_back(!change.fresh, block);
    std::ranges::sort(order);
    for (size_t at = 0; at < order.size();) {
        EXO_TRY_ASSIGN(Handle handle, journal.begin());
        for (unsigned i = 0; i < Journal::kHandleCredits && at < order.size(); i++, at++) {
            const Page& content = *changed_[order[at].second].page;
            const auto* header = content.as<BlockHeader>();
            EXO_TRY_ASSIGN(Page * page,
                           journal.create(handle, order[at].second,
                                          BlockType(uint16_t(header->type)), header->owner));
            *page = content;
        }
        handle.commit();
    }
    EXO_TRY(journal.checkpoint());
    EXO_TRY(device_.flush());
    changed_.clear();
    return {};
}

}  // namespace exo::fsck
