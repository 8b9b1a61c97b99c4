// SPDX-License-Identifier: MIT
// How metadata comes from the device into the journal's cache: block by block, or as many as an
// operation needs at once, with neighbours where those tend to be wanted next.
#include <algorithm>

#include "fs/journal/journal.h"

namespace exo {

Result<PageRef> Journal::fetch(BlockNo block, BlockType type, uint64_t owner) {
    if (block == 0 || block >= volume_blocks_)
        return fail(EUCLEAN, "a pointer to block " + std::to_string(block) +
                                 " leads outside the file system: run fsck.exo");
    MutablePageRef fresh = allocate_page();
    EXO_TRY(device_.read(block * kBlockBytes, fresh->bytes, kBlockBytes));
    EXO_TRY(check_block(*fresh, block, type, owner, volume_tag_));
    return fresh;
}

void Journal::prefetch(std::span<const BlockNo> blocks, BlockType type, uint64_t owner) {
    struct Wanted {
        BlockNo block;
        uint32_t changes;
        MutablePageRef page;
        iovec buffer;
    };
    std::vector<Wanted> wanted;
    for (const BlockNo block : blocks) {
        if (block == 0 || block >= volume_blocks_) continue;
        Shard& s = shard(block);
        std::lock_guard lock(s.mutex);
        if (s.entries.contains(block) || s.pending.contains(block)) continue;
        MutablePageRef page = allocate_page();
        const iovec buffer{page->bytes, kBlockBytes};
        wanted.push_back({block, s.changes_of(block), std::move(page), buffer});
    }
    std::vector<IoRequest> requests;
    requests.reserve(wanted.size());
    for (const Wanted& one : wanted)
        requests.push_back({IoKind::kRead, one.block * kBlockBytes, {&one.buffer, 1}});
    if (requests.empty() || !device_.run(requests)) return;
    for (Wanted& one : wanted) {
        if (!check_block(*one.page, one.block, type, owner, volume_tag_)) continue;
        Shard& s = shard(one.block);
        std::lock_guard lock(s.mutex);
        if (s.changes_of(one.block) == one.changes && !s.pending.contains(one.block))
            insert_clean(s, one.block, std::move(one.page));
    }
}

// Blocks that an operation of this thread needs, or that lie beside one, on their way.
struct Journal::Loaded {
    BlockNo block;
    uint32_t changes;
    bool ahead;
    MutablePageRef page;
};

Result<> Journal::need(std::span<const BlockNo> blocks, BlockType type, uint64_t owner) {
    Missing& m = missing();
    if (!deferring_reads() || m.told) return {};
    m.type = type;
    m.owner = owner;
    m.blocks.clear();
    for (const BlockNo block : blocks) {
        Shard& s = shard(block);
        std::lock_guard lock(s.mutex);
        if (s.entries.contains(block) || s.pending.contains(block)) continue;
        m.blocks.push_back({block, s.changes_of(block)});
    }
    if (m.blocks.empty()) return {};
    m.told = true;
    return fail(kBlockMissing);
}

// Not where blocks are visited at random among many more than the cache holds. It is tried again
// now and then.
bool Journal::ReadAhead::pays() {
    constexpr uint64_t kRemembered = 4096, kAtLeastOneIn = 8, kTriedOneIn = 32;
    const uint64_t done = read.load(std::memory_order_relaxed);
    const uint64_t useful = used.load(std::memory_order_relaxed);
    if (done > kRemembered) {  // races lose a little of the memory, which is none too exact
        read.store(done / 2, std::memory_order_relaxed);
        used.store(useful / 2, std::memory_order_relaxed);
    }
    if (done < kRemembered / 4 || useful * kAtLeastOneIn >= done) return true;
    thread_local unsigned refused = 0;
    return ++refused % kTriedOneIn == 0;
}

// In the order of the device, each once.
std::vector<Journal::Loaded> Journal::with_neighbours(const Missing& wanted) {
    const bool of_inodes = wanted.type == BlockType::kInodes;
    // A directory's inodes tend to be made together, and so do the nodes of a large one.
    const bool ahead =
        (of_inodes || wanted.type == BlockType::kTreeNode) && ahead_[of_inodes].pays();
    std::vector<Loaded> all;
    for (const auto& [block, changes] : wanted.blocks) {
        if (block == 0 || block >= volume_blocks_) continue;
        all.push_back({block, changes, false, nullptr});
        const BlockNo first = block / kReadAhead * kReadAhead;
        const BlockNo end = ahead ? std::min(first + kReadAhead, volume_blocks_) : first;
        for (BlockNo beside = first; beside < end; beside++) {
            if (beside == block) continue;
            Shard& s = shard(beside);
            std::lock_guard lock(s.mutex);
            all.push_back({beside, s.changes_of(beside), true, nullptr});
        }
    }
    std::ranges::sort(all, [](const Loaded& a, const Loaded& b) {
        return a.block != b.block ? a.block < b.block : a.ahead < b.ahead;
    });
    const auto twice = std::ranges::unique(all, {}, &Loaded::block);
    all.erase(twice.begin(), twice.end());
    for (Loaded& one : all) one.page = allocate_page();
    return all;
}

// Reads the one block that an operation of this thread went without. Where the block was changed or
// freed meanwhile, what was read, or an error, means nothing: the next try sees what is true.
Result<> Journal::load_one(const Missing& wanted) {
    const auto [block, changes] = wanted.blocks.front();
    // What would not pay in this cache may in the kernel's, below an image file.
    device_.expect(block / kReadAhead * kReadAhead * kBlockBytes, kReadAhead * kBlockBytes);
    auto page = fetch(block, wanted.type, wanted.owner);
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    if (s.changes_of(block) != changes) return {};
    if (!page) return std::unexpected(page.error());
    insert_clean(s, block, std::move(*page));
    return {};
}

// The same for as many as there are. At least the first one is there then, or its error is told.
Result<> Journal::load_missing() {
    const Missing& wanted = missing();
    std::vector<Loaded> all = with_neighbours(wanted);
    const BlockNo first = wanted.blocks.front().block;
    if (all.size() < 2 || first == 0 || first >= volume_blocks_) return load_one(wanted);
    std::vector<iovec> buffers;
    buffers.reserve(all.size());
    for (const Loaded& one : all) buffers.push_back({one.page->bytes, kBlockBytes});
    std::vector<IoRequest> requests;
    for (size_t from = 0, to = 1; from < all.size(); from = to++) {
        while (to < all.size() && all[to].block == all[to - 1].block + 1) to++;
        requests.push_back({IoKind::kRead, all[from].block * kBlockBytes,
                            std::span(buffers).subspan(from, to - from)});
    }
    // What is the matter may be a neighbour's: only what was asked for may fail.
    if (!device_.run(requests)) return load_one(wanted);
    for (Loaded& one : all) {
        // What lies beside may be anything, with any content: it counts only for those who come to
        // it as what it says it is, as it would if they had read it.
        const uint64_t owner =
            one.ahead ? uint64_t(one.page->as<BlockHeader>()->owner) : wanted.owner;
        const auto good = check_block(*one.page, one.block, wanted.type, owner, volume_tag_);
        Shard& s = shard(one.block);
        std::lock_guard lock(s.mutex);
        if (s.changes_of(one.block) != one.changes) continue;
        if (!good && one.block == first) return good;
        if (!good || s.entries.contains(one.block) || s.pending.contains(one.block)) continue;
        insert_clean(s, one.block, std::move(one.page), one.ahead);
        if (one.ahead)
            ahead_[wanted.type == BlockType::kInodes].read.fetch_add(1, std::memory_order_relaxed);
    }
    return {};
}

}  // namespace exo
