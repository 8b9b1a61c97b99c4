// SPDX-License-Identifier: MIT
// The journal's cache of metadata blocks: what is clean is evicted, the least recently used first.
#include <algorithm>

#include "fs/journal/journal.h"

namespace exo {

namespace {
thread_local bool deferring = false;
}  // namespace

Journal::DeferReads::DeferReads() {
    deferring = true;
}
Journal::DeferReads::~DeferReads() {
    deferring = false;
}
bool Journal::deferring_reads() {
    return deferring;
}
Journal::Missing& Journal::missing() {
    thread_local Missing instance;
    return instance;
}

void Journal::trim(Shard& s) {
    while (s.lru.size() > shard_capacity_) {
        s.entries.erase(s.lru.back());
        s.lru.pop_back();
    }
}

std::pair<PageRef, uint64_t> Journal::entry_of(BlockNo block) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    const auto it = s.entries.find(block);
    if (it == s.entries.end()) return {};
    return {it->second.page, it->second.dirty};
}

void Journal::set_entry(BlockNo block, PageRef page, uint64_t dirty) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    s.changes_of(block)++;
    // Undone to the state of a transaction that was settled meanwhile.
    if (dirty <= s.settled) dirty = 0;
    auto [it, fresh] = s.entries.try_emplace(block);
    Entry& entry = it->second;
    if (!fresh && entry.dirty == 0) s.lru.erase(entry.lru);
    entry.page = std::move(page);
    entry.dirty = dirty;
    if (dirty == 0) {
        s.lru.push_front(block);
        entry.lru = s.lru.begin();
        trim(s);
    }
}

void Journal::erase_entry(BlockNo block) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    s.changes_of(block)++;
    auto it = s.entries.find(block);
    if (it == s.entries.end()) return;
    if (it->second.dirty == 0) s.lru.erase(it->second.lru);
    s.entries.erase(it);
}

// REQUIRES: the shard's mutex
void Journal::insert_clean(Shard& s, BlockNo block, PageRef page, bool ahead) {
    auto [it, inserted] = s.entries.try_emplace(block);
    if (!inserted) return;
    it->second.page = std::move(page);
    it->second.ahead = ahead;
    s.lru.push_front(block);
    it->second.lru = s.lru.begin();
    trim(s);
}

Result<PageRef> Journal::read(BlockNo block, BlockType type, uint64_t owner) {
    Shard& s = shard(block);
    PageRef page;
    {
        std::lock_guard lock(s.mutex);
        if (auto it = s.entries.find(block); it != s.entries.end()) {
            Entry& entry = it->second;
            if (entry.dirty == 0 && entry.lru != s.lru.begin())
                s.lru.splice(s.lru.begin(), s.lru, entry.lru);
            if (entry.ahead) {
                entry.ahead = false;
                ahead_used_.fetch_add(1, std::memory_order_relaxed);
            }
            page = entry.page;
        } else if (auto waiting = s.pending.find(block); waiting != s.pending.end()) {
            page = waiting->second;
        } else if (deferring) {
            missing() = {block, type, owner, s.changes_of(block)};
            return fail(kBlockMissing);
        }
    }
    if (page) {
        // Only a damaged pointer makes two users of one block; the cached one was checked as
        // another.
        const auto* header = page->as<BlockHeader>();
        if (header->type != uint16_t(type) || header->owner != owner)
            return fail(EUCLEAN, "block " + std::to_string(block) + " is used as " +
                                     block_type_name(type) + " of inode " + std::to_string(owner) +
                                     " and as something else: run fsck.exo");
        return page;
    }
    EXO_TRY_ASSIGN(page, fetch(block, type, owner));
    std::lock_guard lock(s.mutex);
    insert_clean(s, block, page);
    return page;
}

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

// Reads the block that an operation of this thread went without. Where the block was changed or
// freed meanwhile, what was read, or an error, means nothing: the next try sees what is true.
// Blocks of inodes come with their neighbours: a directory's inodes tend to be made together.
Result<> Journal::load_missing() {
    const Missing wanted = missing();
    if (wanted.type == BlockType::kInodes && wanted.block < volume_blocks_ && reading_ahead_pays())
        return load_inodes(wanted);
    auto page = fetch(wanted.block, wanted.type, wanted.owner);
    Shard& s = shard(wanted.block);
    std::lock_guard lock(s.mutex);
    if (s.changes_of(wanted.block) != wanted.changes) return {};
    if (!page) return std::unexpected(page.error());
    insert_clean(s, wanted.block, std::move(*page));
    return {};
}

// Not where inodes are visited at random among many more than the cache holds. It is tried again
// now and then.
bool Journal::reading_ahead_pays() {
    constexpr uint64_t kRemembered = 4096, kAtLeastOneIn = 8, kTriedOneIn = 32;
    const uint64_t done = ahead_read_.load(std::memory_order_relaxed);
    const uint64_t used = ahead_used_.load(std::memory_order_relaxed);
    if (done > kRemembered) {  // races lose a little of the memory, which is none too exact
        ahead_read_.store(done / 2, std::memory_order_relaxed);
        ahead_used_.store(used / 2, std::memory_order_relaxed);
    }
    if (done < kRemembered / 4 || used * kAtLeastOneIn >= done) return true;
    thread_local unsigned refused = 0;
    return ++refused % kTriedOneIn == 0;
}

Result<> Journal::load_inodes(const Missing& wanted) {
    const BlockNo first = wanted.block / kInodeReadAhead * kInodeReadAhead;
    const uint64_t count = std::min(kInodeReadAhead, volume_blocks_ - first);
    std::array<uint32_t, kInodeReadAhead> changes{};
    std::array<MutablePageRef, kInodeReadAhead> pages;
    std::array<iovec, kInodeReadAhead> buffers{};
    for (uint64_t i = 0; i < count; i++) {
        Shard& s = shard(first + i);
        std::lock_guard lock(s.mutex);
        changes[i] = s.changes_of(first + i);
        pages[i] = allocate_page();
        buffers[i] = {pages[i]->bytes, kBlockBytes};
    }
    changes[wanted.block - first] = wanted.changes;
    const IoRequest request{IoKind::kRead, first * kBlockBytes, std::span(buffers).first(count)};
    const auto done = device_.run({&request, 1});
    for (uint64_t i = 0; i < count; i++) {
        const BlockNo block = first + i;
        // What lies beside may be anything, with any content: it counts only for those who come to
        // it as a block of inodes, as it would if they had read it.
        const auto good =
            done ? check_block(*pages[i], block, wanted.type, wanted.owner, volume_tag_) : done;
        Shard& s = shard(block);
        std::lock_guard lock(s.mutex);
        if (s.changes_of(block) != changes[i]) continue;
        if (good && !s.pending.contains(block)) {
            const bool ahead = block != wanted.block;
            insert_clean(s, block, std::move(pages[i]), ahead);
            if (ahead) ahead_read_.fetch_add(1, std::memory_order_relaxed);
        }
        if (!good && block == wanted.block) return good;
    }
    return {};
}

}  // namespace exo
