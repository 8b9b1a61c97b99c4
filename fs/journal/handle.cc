// SPDX-License-Identifier: MIT
// Handles: every block is copied when a handle first changes it, so that undoing is putting the old
// copy back.
#include <cstddef>
#include <cstring>

#include "fs/journal/journal.h"

namespace exo {

namespace {
constexpr size_t kRoomLeft = 2048;
}  // namespace

Handle::Handle(Journal* journal, std::unique_lock<FairSharedMutex> lock, unsigned credits)
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

Result<Handle> Journal::try_begin(unsigned credits) {
    if (options_.read_only) return fail(EROFS);
    if (failed())
        return fail(EROFS, device_.name() +
                               ": a write to the journal failed earlier; the file system is "
                               "read-only until it is mounted again");
    std::unique_lock lock(meta_);
    if (changed_.size() + credits > max_transaction_blocks_) return fail(EAGAIN);
    return Handle(this, std::move(lock), credits);
}

Result<Handle> Journal::begin(unsigned credits) {
    for (;;) {
        auto handle = try_begin(credits);
        if (handle || handle.error().code != EAGAIN) return handle;
        EXO_TRY(commit(running_sequence()));
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
    // All but the checksum, which a commit may be filling in just now.
    constexpr size_t kCrc = offsetof(BlockHeader, crc), kRest = kCrc + sizeof(le32);
    memcpy(copy->bytes, before->bytes, kCrc);
    memset(copy->bytes + kCrc, 0, sizeof(le32));
    memcpy(copy->bytes + kRest, before->bytes + kRest, kBlockBytes - kRest);
    const uint64_t dirty = entry_of(block).second;
    handle.touched_.push_back({block, std::move(before), dirty, copy});
    set_entry(block, copy, handle.sequence_);
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
        auto [before, dirty] = entry_of(block);
        handle.touched_.push_back({block, std::move(before), dirty, page});
    }
    set_entry(block, page, handle.sequence_);
    return page.get();
}

void Journal::drop(Handle& handle, BlockNo block) {
    if (auto* touched = handle.find(block)) {
        touched->current = nullptr;
    } else {
        auto [before, dirty] = entry_of(block);
        handle.touched_.push_back({block, std::move(before), dirty, nullptr});
    }
    erase_entry(block);
}

void Journal::finish(Handle& handle) {
    for (auto& touched : handle.touched_) {
        if (touched.current)
            changed_.insert_or_assign(touched.block, std::move(touched.current));
        else
            changed_.erase(touched.block);
    }
    const size_t before = dirty_count_.load(std::memory_order_relaxed);
    // What is left fills while the commit waits for its turn.
    const size_t most = max_transaction_blocks_, filling = most - std::min(most / 2, kRoomLeft);
    dirty_count_.store(changed_.size(), std::memory_order_relaxed);
    if (before < filling && changed_.size() >= filling && filling_) filling_();
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
            set_entry(it->block, it->before, it->before_dirty);
        else
            erase_entry(it->block);
    }
    if (keeper_ && !handle.allocated_.empty()) keeper_->allocation_undone(handle.allocated_);
}

}  // namespace exo
