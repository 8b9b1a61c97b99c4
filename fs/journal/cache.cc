// SPDX-License-Identifier: MIT
// The journal's cache of metadata blocks: what is clean is evicted, the least recently used first.
#include <algorithm>

#include "fs/journal/journal.h"

namespace exo {

namespace {
thread_local bool deferring = false;

constexpr size_t kLeastPerShard = 8;

bool holds_inodes(const Page& page) {
    return page.as<BlockHeader>()->type == uint16_t(BlockType::kInodes);
}
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

void Journal::Shard::list(BlockNo block, Entry& entry) {
    auto& blocks = evictable[entry.of_inodes];
    blocks.push_front(block);
    entry.place = blocks.begin();
    entry.listed = true;
}

void Journal::Shard::unlist(Entry& entry) {
    if (entry.listed) evictable[entry.of_inodes].erase(entry.place);
    entry.listed = false;
}

// REQUIRES: the shard's mutex
void Journal::trim(Shard& s) {
    // What waits to go home takes its part of the memory, but never all.
    const size_t least = std::max<size_t>(shard_capacity_ / 4, kLeastPerShard);
    const size_t room =
        std::max(least, shard_capacity_ - std::min(shard_capacity_, s.pending.size()));
    auto& [trees, inodes] = s.evictable;
    while (trees.size() + inodes.size() > room) {
        auto& victims = inodes.empty() || trees.size() > room / 4 * 3 ? trees : inodes;
        s.entries.erase(victims.back());
        victims.pop_back();
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
    if (!fresh) s.unlist(entry);
    entry.page = std::move(page);
    entry.dirty = dirty;
    entry.of_inodes = holds_inodes(*entry.page);
    entry.ahead = false;
    if (dirty == 0 && !s.pending.contains(block)) {
        s.list(block, entry);
        trim(s);
    }
}

void Journal::erase_entry(BlockNo block) {
    Shard& s = shard(block);
    std::lock_guard lock(s.mutex);
    s.changes_of(block)++;
    auto it = s.entries.find(block);
    if (it == s.entries.end()) return;
    s.unlist(it->second);
    s.entries.erase(it);
}

// REQUIRES: the shard's mutex
void Journal::insert_clean(Shard& s, BlockNo block, PageRef page, bool ahead) {
    auto [it, inserted] = s.entries.try_emplace(block);
    if (!inserted) return;
    Entry& entry = it->second;
    entry.page = std::move(page);
    entry.of_inodes = holds_inodes(*entry.page);
    entry.ahead = ahead;
    s.list(block, entry);
    trim(s);
}

Result<PageRef> Journal::read(BlockNo block, BlockType type, uint64_t owner) {
    Shard& s = shard(block);
    PageRef page;
    {
        std::lock_guard lock(s.mutex);
        if (auto it = s.entries.find(block); it != s.entries.end()) {
            Entry& entry = it->second;
            if (auto& blocks = s.evictable[entry.of_inodes];
                entry.listed && entry.place != blocks.begin())
                blocks.splice(blocks.begin(), blocks, entry.place);
            if (entry.ahead) {
                entry.ahead = false;
                ahead_[entry.of_inodes].used.fetch_add(1, std::memory_order_relaxed);
            }
            page = entry.page;
        } else if (auto waiting = s.pending.find(block); waiting != s.pending.end()) {
            page = waiting->second;
        } else if (deferring) {
            Missing& m = missing();
            m.type = type;
            m.owner = owner;
            m.blocks.assign(1, {block, s.changes_of(block)});
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

}  // namespace exo
