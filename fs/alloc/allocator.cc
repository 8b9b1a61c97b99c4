// SPDX-License-Identifier: MIT
#include "fs/alloc/allocator.h"

#include <algorithm>

#include "fs/alloc/windows.h"
#include "fs/base/log.h"
#include "fs/format/inode.h"

namespace exo {

namespace {
constexpr uint64_t kBitmapsAtOnce = 64;
}  // namespace

Reservation::~Reservation() {
    if (allocator_ && run_.count > 0) allocator_->give_back({&run_, 1});
}

Reservation Reservation::split_front(uint64_t blocks) {
    Reservation front(allocator_, {run_.start, blocks});
    run_.start += blocks;
    run_.count -= blocks;
    return front;
}

Allocator::Allocator(BlockDevice& device, Journal& journal, const Superblock& superblock,
                     bool discard)
    : device_(device),
      journal_(journal),
      volume_blocks_(superblock.size_blocks),
      journal_start_(superblock.journal_start),
      journal_blocks_(superblock.journal_blocks),
      discard_(discard),
      // 1/1024 of the volume, at least 32 and at most 4096 blocks, half of it for freeing only.
      metadata_reserve_(std::clamp<uint64_t>(superblock.size_blocks / 2048, 16, 2048)),
      freeing_reserve_(metadata_reserve_),
      windows_(std::make_unique<Windows>()) {}

Allocator::~Allocator() = default;

Result<> Allocator::for_each_free(uint64_t group, const std::function<void(BlockRun)>& visit) {
    EXO_TRY_ASSIGN(PageRef page, journal_.read(bitmap_place(group), BlockType::kBitmap, 0));
    const uint8_t* bits = page->as<BitmapBlock>()->bits;
    const uint64_t base = group * kGroupBlocks;
    const uint64_t end = std::min(kGroupBlocks, volume_blocks_ - base);
    for (uint64_t at = bits_find(bits, 0, end, false); at < end;) {
        const uint64_t stop = bits_find(bits, at, end, true);
        visit({base + at, stop - at});
        at = bits_find(bits, stop, end, false);
    }
    return {};
}

Result<std::unique_ptr<Allocator>> Allocator::open(BlockDevice& device, Journal& journal,
                                                   const Superblock& superblock, bool discard,
                                                   size_t max_extents) {
    std::unique_ptr<Allocator> allocator(new Allocator(device, journal, superblock, discard));
    const uint64_t groups = group_count(superblock.size_blocks);
    auto reader = journal.reader();
    for (uint64_t group = 0; group < groups; group++) {
        if (group % kBitmapsAtOnce == 0) {
            // One after another they would take seconds on a large volume.
            std::vector<BlockNo> next;
            for (uint64_t g = group; g < std::min(groups, group + kBitmapsAtOnce); g++)
                next.push_back(bitmap_place(g));
            journal.prefetch(next, BlockType::kBitmap, 0);
        }
        const bool left_out = allocator->free_.extents() >= max_extents;
        uint64_t free = 0;
        EXO_TRY(allocator->for_each_free(group, [&](BlockRun run) {
            free += run.count;
            if (!left_out) allocator->free_.insert(run.start, run.count);
        }));
        if (left_out && free > 0) allocator->left_out_[group].free = free;
    }
    journal.set_space_keeper(allocator.get());
    return allocator;
}

Result<bool> Allocator::load_more() {
    // Shared with no handle: bits and counts of deferred blocks agree.
    return journal_.unlocked_io([&]() -> Result<bool> {
        auto reader = journal_.reader();
        uint64_t group = UINT64_MAX, most = 0;
        {
            std::lock_guard lock(mutex_);
            for (const auto& [candidate, left] : left_out_) {
                if (left.deferred > 0 || left.free <= most) continue;
                group = candidate;
                most = left.free;
            }
        }
        if (group == UINT64_MAX) return false;
        std::vector<BlockRun> runs;
        EXO_TRY(for_each_free(group, [&](BlockRun run) { runs.push_back(run); }));
        std::lock_guard lock(mutex_);
        if (left_out_.erase(group) == 0) return true;  // somebody else was faster
        for (const BlockRun& run : runs) free_.insert(run.start, run.count);
        return true;
    });
}

std::unique_ptr<Allocator> Allocator::empty(BlockDevice& device, Journal& journal,
                                            const Superblock& superblock) {
    return std::unique_ptr<Allocator>(new Allocator(device, journal, superblock, false));
}

Result<Reservation> Allocator::reserve(uint64_t want, BlockNo goal, Purpose purpose) {
    const uint64_t kept = purpose == Purpose::kData       ? metadata_reserve_ + freeing_reserve_
                          : purpose == Purpose::kMetadata ? freeing_reserve_
                                                          : 0;
    std::lock_guard lock(mutex_);
    if (free_.free_blocks() <= kept) return fail(ENOSPC);
    const auto run = free_.take(std::min(want, free_.free_blocks() - kept), goal);
    if (run.count == 0) return fail(ENOSPC);
    return Reservation(this, {run.start, run.count});
}

BlockNo Allocator::close_to(BlockNo goal) const {
    std::lock_guard lock(mutex_);
    return free_.close_to(goal);
}

Result<> Allocator::mark_used(Handle& handle, BlockRun run) {
    EXO_TRY_ASSIGN(Page * page, journal_.modify(handle, bitmap_place(group_of(run.start)),
                                                BlockType::kBitmap, 0));
    uint8_t* bits = page->as<BitmapBlock>()->bits;
    const uint64_t first = run.start % kGroupBlocks;
    if (!bits_all(bits, first, run.count, false))
        return fail(EUCLEAN, "the bitmap of group " + std::to_string(group_of(run.start)) +
                                 " disagrees with the free space: run fsck.exo");
    bits_fill(bits, first, run.count, true);
    return {};
}

Result<BlockRun> Allocator::allocate(Handle& handle, Reservation&& reservation) {
    const BlockRun run = reservation.run_;
    EXO_TRY(mark_used(handle, run));
    handle.note_allocated(run);
    reservation.release();
    return run;
}

Result<BlockNo> Allocator::allocate_block(Handle& handle, BlockNo goal, Purpose purpose) {
    EXO_TRY_ASSIGN(Reservation one, reserve(1, goal, purpose));
    EXO_TRY_ASSIGN(const BlockRun run, allocate(handle, std::move(one)));
    return run.start;
}

Result<> Allocator::free(Handle& handle, BlockRun run, bool metadata) {
    // Refuse what can only come from a damaged pointer.
    if (run.count == 0 || run.start >= volume_blocks_ || run.count > volume_blocks_ - run.start ||
        group_of(run.start) != group_of(run.start + run.count - 1) || run.start <= kSystemPlace ||
        is_bitmap_place(run.start) ||
        (run.start < journal_start_ + journal_blocks_ && run.start + run.count > journal_start_))
        return fail(EUCLEAN, "blocks " + std::to_string(run.start) + "+" +
                                 std::to_string(run.count) +
                                 " cannot belong to an inode: run fsck.exo");
    EXO_TRY_ASSIGN(Page * page, journal_.modify(handle, bitmap_place(group_of(run.start)),
                                                BlockType::kBitmap, 0));
    uint8_t* bits = page->as<BitmapBlock>()->bits;
    const uint64_t first = run.start % kGroupBlocks;
    if (!bits_all(bits, first, run.count, true))
        return fail(EUCLEAN, "blocks " + std::to_string(run.start) + "+" +
                                 std::to_string(run.count) + " are free already: run fsck.exo");
    bits_fill(bits, first, run.count, false);
    if (metadata) {
        for (uint64_t i = 0; i < run.count; i++) journal_.drop(handle, run.start + i);
    }
    handle.note_freed(run, metadata);
    handle.on_commit([this, run] {
        std::lock_guard lock(mutex_);
        if (auto it = left_out_.find(group_of(run.start)); it != left_out_.end())
            it->second.deferred += run.count;
    });
    return {};
}

uint64_t Allocator::free_blocks() const {
    const uint64_t aside = windows_->blocks();
    std::lock_guard lock(mutex_);
    uint64_t left_out = 0;
    for (const auto& [group, left] : left_out_) left_out += left.free;
    return free_.free_blocks() + trimming_ + aside + left_out;
}

void Allocator::give_back(std::span<const BlockRun> runs) {
    std::lock_guard lock(mutex_);
    for (const BlockRun& run : runs) {
        // Blocks of a group that was left out can only have been freed: they are counted.
        if (auto it = left_out_.find(group_of(run.start)); it != left_out_.end()) {
            it->second.free += run.count;
            it->second.deferred -= std::min(run.count, it->second.deferred);
            continue;
        }
        if (!free_.insert(run.start, run.count))
            log(LogLevel::kError, "blocks " + std::to_string(run.start) + "+" +
                                      std::to_string(run.count) +
                                      " were freed twice: run fsck.exo");
    }
}

void Allocator::reusable(std::span<const BlockRun> runs) {
    if (discard_) {
        for (const BlockRun& run : runs)
            (void)device_.discard(run.start * kBlockBytes, run.count * kBlockBytes);
    }
    give_back(runs);
}

void Allocator::allocation_undone(std::span<const BlockRun> runs) {
    give_back(runs);
}

Result<uint64_t> Allocator::trim(uint64_t min_blocks) {
    std::vector<BlockRun> runs;
    {
        std::lock_guard lock(mutex_);
        free_.for_each([&](BlockNo start, uint64_t count) {
            if (count >= min_blocks) runs.push_back({start, count});
        });
    }
    uint64_t told = 0;
    for (const BlockRun& run : runs) {
        {
            // Take the run while the device is told, so that nobody writes to it meanwhile.
            std::lock_guard lock(mutex_);
            if (!free_.take_exact(run.start, run.count)) continue;
            trimming_ += run.count;
        }
        const auto done = device_.discard(run.start * kBlockBytes, run.count * kBlockBytes);
        give_back({&run, 1});
        {
            std::lock_guard lock(mutex_);
            trimming_ -= run.count;
            trims_++;
        }
        trimmed_.notify_all();
        EXO_TRY(done);
        told += run.count;
    }
    return told;
}

bool Allocator::wait_for_trim(uint64_t seen) {
    std::unique_lock lock(mutex_);
    trimmed_.wait(lock, [&] { return trims_ != seen || trimming_ == 0; });
    return trims_ != seen;
}

}  // namespace exo
