// SPDX-License-Identifier: MIT
// Metadata blocks, read through a cache and changed atomically. A change runs under a Handle; the
// changes of many handles are grouped into the running transaction, which is written to the log as
// whole blocks and later written home (checkpoint). The log is physical redo: replaying it any
// number of times gives the same volume.
//
// Rules kept here (see docs/FORMAT.md, "Order of writes"):
//  - a block goes home only after the transaction that changed it is durable in the log;
//  - the log's tail moves only after everything before it is durable at home;
//  - what a transaction freed is handed back for reuse only once it is durable (data), or once the
//    log can no longer replay over it (metadata);
//  - data written before a handle began is durable before the handle's transaction is.
//
// Locks, in order: commit_mutex_ > meta_ > shard mutexes. A Handle holds meta_ exclusively,
// a reader() shared; both only as long as memory takes. Reads from the device happen between two
// tries of an operation (see unlocked_io), and a commit holds meta_ only to put a new transaction
// in the place of the one it writes. Pages never change once their handle has ended, except that
// their checksum is filled in when they are logged: nobody else looks at that field.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fs/base/fair_shared_mutex.h"
#include "fs/base/page.h"
#include "fs/base/result.h"
#include "fs/device/block_device.h"
#include "fs/format/block.h"
#include "fs/format/superblock.h"

namespace exo {

// Who keeps the free space; called without meta_.
class SpaceKeeper {
  public:
    virtual ~SpaceKeeper() = default;
    virtual void reusable(std::span<const BlockRun> runs) = 0;
    virtual void allocation_undone(std::span<const BlockRun> runs) = 0;  // called under meta_
};

class Journal;

// One atomic change. Undone when destroyed without commit().
class Handle {
  public:
    Handle(Handle&& other) noexcept;
    Handle& operator=(Handle&&) = delete;
    ~Handle();
    void commit();

    uint64_t sequence() const { return sequence_; }  // of the transaction it will be part of
    void note_allocated(BlockRun run) { allocated_.push_back(run); }
    void note_freed(BlockRun run, bool metadata);
    void on_commit(std::function<void()> hook) { hooks_.push_back(std::move(hook)); }

  private:
    friend class Journal;
    struct Touched {
        BlockNo block;
        PageRef before;          // null: was not cached
        uint64_t before_dirty;   // as Entry::dirty
        MutablePageRef current;  // null: dropped
    };
    Handle(Journal* journal, std::unique_lock<FairSharedMutex> lock, unsigned credits);
    Touched* find(BlockNo block);

    Journal* journal_;
    std::unique_lock<FairSharedMutex> lock_;
    unsigned credits_;
    uint64_t sequence_ = 0;
    std::vector<Touched> touched_;
    std::vector<BlockRun> allocated_, freed_data_, freed_metadata_;
    std::vector<std::function<void()>> hooks_;
};

class Journal {
  public:
    struct Options {
        bool read_only = false;
        // Clean blocks, and those that are logged but not home. What the running transaction
        // changed comes on top.
        size_t cache_bytes = 96u << 20;
    };
    // Blocks that one handle may change; at most kMaxHandleCredits when asked for more.
    static constexpr unsigned kHandleCredits = 64, kMaxHandleCredits = 112;

    // Replays the log: home, or when read-only into memory.
    static Result<std::unique_ptr<Journal>> open(BlockDevice& device, const Superblock& superblock,
                                                 const Options& options);
    ~Journal();

    void set_space_keeper(SpaceKeeper* keeper) { keeper_ = keeper; }
    // Called, under meta_, when the running transaction is filling up: a commit now keeps others
    // from having to wait for one. Set it before the first handle.
    void set_filling_hook(std::function<void()> hook) { filling_ = std::move(hook); }
    bool replayed() const { return replayed_; }
    bool read_only() const { return options_.read_only; }
    bool failed() const { return failed_.load(std::memory_order_acquire); }

    std::shared_lock<FairSharedMutex> reader() { return std::shared_lock(meta_); }
    // Runs an operation that takes a reader or handle and ends it before it returns. Where the
    // operation needs a block that is not cached, it is left with an error (and a handle undone),
    // the block read without any lock, and the operation run again: so nobody waits for a read but
    // those who need it. The operation must hand on errors as they are, and change nothing of the
    // caller's before it has succeeded.
    template <typename F>
    auto unlocked_io(F&& operation) -> decltype(operation()) {
        if (deferring_reads()) return operation();  // the outer one reads
        missing().told = false;
        for (unsigned tries = 0; tries < kMaxTries; tries++) {
            auto result = [&] {
                const DeferReads scope;
                return operation();
            }();
            if (result || result.error().code != kBlockMissing) return result;
            if (auto loaded = load_missing(); !loaded) return std::unexpected(loaded.error());
        }
        // What is read is evicted again at once, or changed all the time: read under the lock.
        return operation();
    }

    // Waits for room in the log if need be. Fails with EROFS once a log write has failed.
    // REQUIRES: the caller holds no reader or handle
    Result<Handle> begin(unsigned credits = kHandleCredits);
    // EAGAIN instead of waiting.
    Result<Handle> try_begin(unsigned credits = kHandleCredits);

    // REQUIRES for all: reader or handle held. Nothing returned may be used after its release.
    Result<PageRef> read(BlockNo block, BlockType type, uint64_t owner);
    // What the log holds for a block and home does not have yet, if anything; for fsck.
    PageRef not_home(BlockNo block);
    // Within unlocked_io(): has all of them read at once that are not cached, if any are not.
    Result<> need(std::span<const BlockNo> blocks, BlockType type, uint64_t owner);
    // Reads blocks that are not cached, all at once. Says nothing of errors: read() will.
    void prefetch(std::span<const BlockNo> blocks, BlockType type, uint64_t owner);
    // The block's content in this handle, to be changed in place.
    Result<Page*> modify(Handle& handle, BlockNo block, BlockType type, uint64_t owner);
    // A fresh zeroed block with a header.
    Result<Page*> create(Handle& handle, BlockNo block, BlockType type, uint64_t owner);
    // The block is no longer metadata; its content is forgotten.
    void drop(Handle& handle, BlockNo block);

    uint64_t running_sequence() const { return running_.load(std::memory_order_acquire); }
    uint64_t durable_sequence() const { return durable_.load(std::memory_order_acquire); }
    // The transaction is durable, as is all data written before the call.
    Result<> commit(uint64_t through_sequence);
    // Writes everything committed home and empties the log, committing first.
    Result<> checkpoint();
    bool wants_checkpoint() const;
    // Blocks freed but not yet reusable; commit + checkpoint would bring them back.
    uint64_t deferred_blocks() const { return deferred_.load(std::memory_order_relaxed); }
    bool has_changes() const { return dirty_count_.load(std::memory_order_relaxed) > 0; }

  private:
    friend class Handle;
    // A block as it is now. It may be evicted when it is clean and home, and is in a list then.
    struct Entry {
        PageRef page;
        uint64_t dirty = 0;  // the transaction that changed it and is not settled yet; 0: none
        std::list<BlockNo>::iterator place;
        bool listed = false;
        bool of_inodes = false;
        bool ahead = false;  // read ahead, and not used since
    };
    static constexpr size_t kChangeCounters = 256;
    struct Shard {
        std::mutex mutex;  // guards all of it
        std::unordered_map<BlockNo, Entry> entries;
        // Those that may be evicted, the last used first. Inode records go before trees and
        // bitmaps, of which there are far fewer for as many files.
        std::list<BlockNo> evictable[2];               // [1]: blocks of inodes
        std::unordered_map<BlockNo, PageRef> pending;  // logged, or being logged; not yet home
        uint64_t settled = 0;  // transactions up to this have made their blocks pending
        // Count up with every change of a block of that hash: what was read meanwhile is stale.
        std::array<uint32_t, kChangeCounters> changes{};
        uint32_t& changes_of(BlockNo block) { return changes[(block / 16) % kChangeCounters]; }
        void list(BlockNo block, Entry& entry);
        void unlist(Entry& entry);
    };
    // An error code that no caller sees: unlocked_io() takes care of it.
    static constexpr int kBlockMissing = 1 << 20;
    static constexpr unsigned kMaxTries = 100;
    static constexpr uint64_t kReadAhead = 16;  // blocks
    struct Missing {
        BlockType type{};
        uint64_t owner = 0;
        struct Block {
            BlockNo block;
            uint32_t changes;  // of the block, when it was missed
        };
        std::vector<Block> blocks;
        bool told = false;  // need() has said so in this operation: it does not twice
    };
    // Within one, this thread's reads do not wait for the device.
    struct DeferReads {
        DeferReads();
        ~DeferReads();
        DeferReads(const DeferReads&) = delete;
        DeferReads& operator=(const DeferReads&) = delete;
    };
    static bool deferring_reads();
    static Missing& missing();  // of this thread
    static constexpr unsigned kShards = 16;

    Journal(BlockDevice& device, const Superblock& superblock, const Options& options);
    Shard& shard(BlockNo block) { return shards_[shard_index(block)]; }
    static size_t shard_index(BlockNo block) { return (block ^ block >> 7) % kShards; }
    Result<> load_missing();
    Result<> load_one(const Missing& wanted);
    struct Loaded;
    std::vector<Loaded> with_neighbours(const Missing& wanted);
    Result<PageRef> fetch(BlockNo block, BlockType type, uint64_t owner);
    void insert_clean(Shard& shard, BlockNo block, PageRef page, bool ahead = false);
    void settle(std::span<const PageRef> pages, uint64_t sequence);
    void set_entry(BlockNo block, PageRef page, uint64_t dirty);
    std::pair<PageRef, uint64_t> entry_of(BlockNo block);
    void erase_entry(BlockNo block);
    void trim(Shard& shard);
    void finish(Handle& handle);
    void undo(Handle& handle);
    Result<> replay();
    Result<> commit_locked();
    Result<> checkpoint_locked();
    Result<> write_log(std::span<const PageRef> pages, uint64_t sequence);
    Result<> write_super(uint64_t tail_sequence, uint64_t tail_position, bool durable);
    Result<> write_home();
    uint64_t pending_with(std::span<const PageRef> pages);
    Result<> flush_device();
    Result<> give_up(Result<> error);
    uint64_t ring_blocks() const { return journal_blocks_ - 1; }
    uint64_t ring_next(uint64_t position, uint64_t by) const {
        return (position - 1 + by) % ring_blocks() + 1;
    }

    BlockDevice& device_;
    const Options options_;
    const uint64_t volume_blocks_, journal_start_, journal_blocks_;
    const uint32_t volume_tag_;
    const size_t shard_capacity_;
    const unsigned max_transaction_blocks_;
    SpaceKeeper* keeper_ = nullptr;
    std::function<void()> filling_;
    bool replayed_ = false;
    std::atomic<bool> failed_{false};

    FairSharedMutex meta_;  // guards the content of all metadata and the running transaction:
    std::unordered_map<BlockNo, PageRef> changed_;  // blocks as it leaves them
    std::vector<BlockRun> freed_data_, freed_metadata_;
    std::atomic<uint64_t> running_{1}, durable_{0}, deferred_{0}, dirty_count_{0};

    std::mutex commit_mutex_;        // one commit or checkpoint at a time; guards:
    uint64_t head_ = 1, tail_ = 1;   // ring positions
    std::atomic<uint64_t> used_{0};  // ring blocks between tail and head
    std::vector<BlockRun> freed_until_checkpoint_;
    uint64_t flushed_ = 0;                    // number of the last flush that succeeded
    std::atomic<uint64_t> flushes_begun_{0};  // changed under commit_mutex_

    // How many blocks were read ahead lately, and how many of them were used.
    struct ReadAhead {
        std::atomic<uint64_t> read{0}, used{0};
        bool pays();
    };
    ReadAhead ahead_[2];  // [1]: blocks of inodes
    Shard shards_[kShards];
};

}  // namespace exo
