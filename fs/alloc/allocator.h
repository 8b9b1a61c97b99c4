// SPDX-License-Identifier: MIT
// Hands out blocks. A block is first *reserved* in memory (a token that gives it back by itself),
// so that data can be written to it, and then *allocated*: marked in its group's bitmap by a
// handle. Freed blocks are marked free at once but come back into memory's free space only when the
// journal says that they may be reused.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "fs/alloc/free_space.h"
#include "fs/base/result.h"
#include "fs/device/block_device.h"
#include "fs/format/superblock.h"
#include "fs/journal/journal.h"

namespace exo {

class Allocator;
class Windows;

// Blocks that are nobody else's until they are allocated, or given back by this token's end.
class Reservation {
  public:
    Reservation() = default;
    Reservation(Allocator* allocator, BlockRun run) : allocator_(allocator), run_(run) {}
    Reservation(Reservation&& other) noexcept
        : allocator_(std::exchange(other.allocator_, nullptr)), run_(other.run_) {}
    Reservation& operator=(Reservation&& other) noexcept {
        std::swap(allocator_, other.allocator_);
        std::swap(run_, other.run_);
        return *this;
    }
    ~Reservation();
    BlockNo start() const { return run_.start; }
    uint64_t count() const { return run_.count; }
    // Takes the first blocks away into a token of their own. REQUIRES: blocks <= count()
    Reservation split_front(uint64_t blocks);
    // The blocks are marked used for good.
    void release() { allocator_ = nullptr; }

  private:
    friend class Allocator;
    Allocator* allocator_ = nullptr;
    BlockRun run_{};
};

// Who may take the last blocks: deleting must always be possible, and so must be noting where data
// is.
enum class Purpose { kData, kMetadata, kFreeing };

class Allocator final : public SpaceKeeper {
  public:
    ~Allocator() override;
    // Free extents kept in memory, some 80 bytes each. Where there are more, groups are left out,
    // all but how much is free there, until space runs short.
    static constexpr size_t kMaxExtents = 1u << 19;

    // Reads every bitmap. REQUIRES: the journal was replayed
    static Result<std::unique_ptr<Allocator>> open(BlockDevice& device, Journal& journal,
                                                   const Superblock& superblock, bool discard,
                                                   size_t max_extents = kMaxExtents);
    // Takes the free space of a group that was left out into memory; false when there is none.
    // REQUIRES: no reader or handle held
    Result<bool> load_more();

    // One that knows of no free space; for readers of a volume.
    static std::unique_ptr<Allocator> empty(BlockDevice& device, Journal& journal,
                                            const Superblock& superblock);

    // One run of 1..want blocks, at the goal if that is free. ENOSPC when there is none for the
    // purpose.
    Result<Reservation> reserve(uint64_t want, BlockNo goal, Purpose purpose);
    // Where to reserve for who wants to be at `goal` (FreeSpace::close_to).
    BlockNo close_to(BlockNo goal) const;
    // Marks reserved blocks used. Who has the reservation releases it when the handle is committed.
    Result<> mark_used(Handle& handle, BlockRun run);
    // Marks all of the reservation used; it belongs to the handle then.
    Result<BlockRun> allocate(Handle& handle, Reservation&& reservation);
    // Marks a run free. Fails with EUCLEAN, changing nothing, when any of it was free already.
    Result<> free(Handle& handle, BlockRun run, bool metadata);
    // One metadata block, near the goal.
    Result<BlockNo> allocate_block(Handle& handle, BlockNo goal, Purpose purpose);

    Windows& windows() { return *windows_; }
    uint64_t free_blocks() const;  // reusable now; what windows set aside is among them
    uint64_t reserve_blocks() const { return metadata_reserve_ + freeing_reserve_; }
    // Tells the device about free runs in memory of at least `min_blocks`; returns blocks told.
    Result<uint64_t> trim(uint64_t min_blocks);
    // Free space is nobody's while a trim tells the device of it. Counts how often some came back.
    uint64_t trims() const { return trims_; }
    // True when some came back after `seen` was counted; waits for it while a trim has some.
    // REQUIRES: no reader or handle held
    bool wait_for_trim(uint64_t seen);

    void reusable(std::span<const BlockRun> runs) override;
    void allocation_undone(std::span<const BlockRun> runs) override;

  private:
    friend class Reservation;
    Allocator(BlockDevice& device, Journal& journal, const Superblock& superblock, bool discard);
    void give_back(std::span<const BlockRun> runs);
    // Calls for every free run of a group. REQUIRES: reader held
    Result<> for_each_free(uint64_t group, const std::function<void(BlockRun)>& visit);

    BlockDevice& device_;
    Journal& journal_;
    const uint64_t volume_blocks_, journal_start_, journal_blocks_;
    const bool discard_;
    uint64_t metadata_reserve_, freeing_reserve_;
    struct LeftOut {
        uint64_t free = 0;
        uint64_t deferred = 0;  // marked free, but not yet to be used again
    };
    mutable std::mutex mutex_;  // guards free_, left_out_, trimming_; a leaf
    std::condition_variable trimmed_;
    uint64_t trimming_ = 0;  // blocks that are nobody's for now
    std::atomic<uint64_t> trims_ = 0;
    FreeSpace free_;
    std::unordered_map<uint64_t, LeftOut> left_out_;  // by group
    std::unique_ptr<Windows> windows_;                // last: gives its space back to free_
};

}  // namespace exo
