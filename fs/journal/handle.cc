// SPDX-License-Identifier: MIT
// Handles: every block is copied when a handle first changes it, so that undoing is putting the old
// copy back.
#include <algorithm>
#include <cstring>

#include "fs/journal/journal.h"

namespace exo {

Handle::Handle(Journal* journal, std::unique_lock<std::shared_mutex> lock, unsigned credits)
    : journal_(journal), lock_(std::move(lock)), credits_(credits) {
    sequence_ = journal->running_sequence();
    touched_.reserve(16);
}

Handle::Handle(Handle&& other) noexcept
    : journal_(std::exchange(other.journal_, nullptr)),
      lock_(std::move(other.lock_)),
      credits_(other.credits_),
      sequence_(other.sequence_),
      touched_(std::move(other.touched_)),
      allocated_(std::move(other.allocated_)),
      freed_data_(std::move(other.freed_data_)),
      freed_metadata_(std::move(other.freed_metadata_)),
      hooks_(std::move(other.hooks_)) {}

Handle::~Handle() {
    if (journal_) journal_->undo(*this);
}

void Handle::commit() {
    for (auto& hook : hooks_) hook();
    journal_->finish(*this);
    journal_ = nullptr;
    touched_.clear();
    lock_.unlock();
}

void Handle::note_freed(BlockRun run, bool metadata) {
    auto& list = metadata ? freed_metadata_ : freed_data_;
    if (!list.empty() && list.back().start + list.back().count == run.start)
        list.back().count += run.count;
    else
        list.push_back(run);
}

Handle::Touched* Handle::find(BlockNo block) {
    for (auto it = touched_.rbegin(); it != touched_.rend(); ++it)
        if (it->block == block) return &*it;
    return nullptr;
}

Result<Handle> Journal::begin(unsigned credits) {
    for (;;) {
        if (options_.read_only) return fail(EROFS);
        if (failed())
            return fail(EROFS, device_.name() +
                                   ": a write to the journal failed earlier; the file system is "
                                   "read-only until it is mounted again");
        std::unique_lock lock(meta_);
        if (dirty_.size() + credits <= max_transaction_blocks_)
            return Handle(this, std::move(lock), credits);
        const uint64_t full = running_sequence();
        lock.unlock();
        EXO_TRY(commit(full));
    }
}

Result<Page*> Journal::modify(Handle& handle, BlockNo block, BlockType type, uint64_t owner) {
    if (auto* touched = handle.find(block)) {
        if (!touched->current) return fail(EUCLEAN, "a freed metadata block is still referenced");
        return touched->current.get();
    }
    if (handle.touched_.size() >= handle.credits_)
        return fail(EIO, "an operation changes more blocks than the journal allows at once");
    EXO_TRY_ASSIGN(PageRef before, read(block, type, owner));
    MutablePageRef copy = allocate_page();
    memcpy(copy->bytes, before->bytes, kBlockBytes);
    bool was_dirty = false;
    {
        Shard& s = shard(block);
        std::lock_guard lock(s.mutex);
        if (auto it = s.entries.find(block); it != s.entries.end()) was_dirty = it->second.dirty;
    }
    handle.touched_.push_back({block, std::move(before), was_dirty, copy});
    set_entry(block, copy, true);
    return copy.get();
}

Result<Page*> Journal::create(Handle& handle, BlockNo block, BlockType type, uint64_t owner) {
    MutablePageRef page = allocate_zero_page();
    init_block(*page, block, type, owner, volume_tag_);
    if (auto* touched = handle.find(block)) {
        touched->current = page;
    } else {
        if (handle.touched_.size() >= handle.credits_)
            return fail(EIO, "an operation changes more blocks than the journal allows at once");
        PageRef before;
        bool was_dirty = false;
        {
            Shard& s = shard(block);
            std::lock_guard lock(s.mutex);
            if (auto it = s.entries.find(block); it != s.entries.end()) {
                before = it->second.page;
                was_dirty = it->second.dirty;
            }
        }
        handle.touched_.push_back({block, std::move(before), was_dirty, page});
    }
    set_entry(block, page, true);
    return page.get();
}

void Journal::drop(Handle& handle, BlockNo block) {
    if (auto* touched = handle.find(block)) {
        touched->current = nullptr;
    } else {
        PageRef before;
        bool was_dirty = false;
        {
            Shard& s = shard(block);
            std::lock_guard lock(s.mutex);
            if (auto it = s.entries.find(block); it != s.entries.end()) {
                before = it->second.page;
                was_dirty = it->second.dirty;
            }
        }
        handle.touched_.push_back({block, std::move(before), was_dirty, nullptr});
    }
    erase_entry(block);
}

void Journal::finish(Handle& handle) {
    for (const auto& touched : handle.touched_)
        if (touched.current && !touched.was_dirty) dirty_.push_back(touched.block);
    dirty_count_.store(dirty_.size(), std::memory_order_relaxed);
    uint64_t freed = 0;
    for (const BlockRun& run : handle.freed_data_) {
        freed_data_.push_back(run);
        freed += run.count;
    }
    for (const BlockRun& run : handle.freed_metadata_) {
        freed_metadata_.push_back(run);
        freed += run.count;
    }
    deferred_ += freed;
}

void Journal::undo(Handle& handle) {
    for (auto it = handle.touched_.rbegin(); it != handle.touched_.rend(); ++it) {
        if (it->before)
            set_entry(it->block, it->before, it->was_dirty);
        else
            erase_entry(it->block);
    }
    if (keeper_ && !handle.allocated_.empty()) keeper_->allocation_undone(handle.allocated_);
}

}  // namespace exo
