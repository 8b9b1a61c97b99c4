// SPDX-License-Identifier: MIT
// What the files that implement Volume share. Lock order: an inode's DataLock > the journal's locks
// (commit_mutex_ > meta_ > a shard of its cache, see journal.h) > windows > allocator, and, each of
// them the last: pins_mutex, a shard of the inode states, background_mutex. Of two inodes'
// DataLocks nobody holds both. The device is read and written with a DataLock or commit_mutex_
// held, or none.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "fs/alloc/windows.h"
#include "fs/node/attributes.h"
#include "fs/node/directory.h"
#include "fs/node/extent_map.h"
#include "fs/node/index.h"
#include "fs/volume/inode_states.h"
#include "fs/volume/posix_acl.h"
#include "fs/volume/superblock_io.h"
#include "fs/volume/volume.h"

namespace exo {

// Extents that one handle may add, remove or convert: each may need a bitmap of its own.
inline constexpr unsigned kPiecesPerHandle = 8;

struct VolumeImpl {
    std::unique_ptr<BlockDevice> device;
    MountOptions options;
    Superblock superblock;
    bool read_only = false, replayed = false, closed = false;
    std::unique_ptr<Journal> journal;
    std::unique_ptr<Allocator> allocator;
    std::unique_ptr<Core> core;
    std::unique_ptr<InodeTable> inodes;
    InodeStates states;

    std::mutex pins_mutex;               // guards pins
    std::unordered_map<Ino, bool> pins;  // true: persistent

    std::mutex background_mutex;  // guards stop, commit_wanted
    std::condition_variable background_wake;
    bool stop = false, commit_wanted = false;
    std::thread background;

    ~VolumeImpl();
    void run_background();
    void stop_background();

    Directory directory(Ino ino, Purpose purpose = Purpose::kMetadata) {
        return Directory(*core, *inodes, ino, purpose);
    }
    ExtentMap extents(Ino ino, Purpose purpose = Purpose::kMetadata) {
        return ExtentMap(*core, *inodes, ino, purpose);
    }
    InodeIndex index(Ino which) { return InodeIndex(*core, *inodes, which); }

    bool pinned(Ino ino) {
        std::lock_guard lock(pins_mutex);
        return pins.contains(ino);
    }
    bool atime_due(const InodeRecord& record) const;
    void set_atime(Ino ino);
    FileAttr attr_of(Ino ino, const InodeRecord& record);
    void take_ref(Ino ino) { states.ref(ino, 1, journal->running_sequence()); }

    // REQUIRES: within the limits; the handle has kAttributeCredits, or the value fits a piece
    Result<> put_attribute(Handle& handle, Ino ino, std::string_view name,
                           std::span<const std::byte> value);
    Result<Acl> read_acl(Ino ino, std::string_view name);  // empty: none
    // Sets permission bits, in the access ACL too.
    Result<> chmod_record(Handle& handle, Ino ino, InodeRecord* record, uint32_t mode);

    // Lists an inode as orphan, or takes it off the list. REQUIRES: record is of this handle
    Result<> add_orphan(Handle& handle, Ino ino, InodeRecord* record);
    Result<> drop_orphan(Handle& handle, Ino ino, InodeRecord* record);
    // Frees an inode without links, extents in steps. Problems are logged: the inode stays listed.
    void destroy(Ino ino);
    Result<bool> destroy_step(Ino ino);
    // The rest of a truncation to the record's size.
    Result<> finish_truncate(Ino ino);
    Result<bool> truncate_step(Ino ino);

    Result<> truncate_locked(Ino ino, uint64_t size);
    // The end of a file, and whether a truncation has left more than it in the last block.
    struct Tail {
        uint64_t size;
        bool known_stale;
    };
    Result<Tail> tail_of(Ino ino);
    // Zeroes what may lie past the end in the last block. REQUIRES: the DataLock held exclusively
    Result<> zero_stale_tail(Ino ino);
    // Makes a truncation durable before its last block is written in place: after a crash, the old
    // size must not show new zeros.
    Result<> settle_truncation(Ino ino);
    Result<> make_durable(uint64_t sequence);
    Result<> zero_within_block(Ino ino, uint64_t from, uint64_t to);
    Result<BlockNo> goal_of(Ino ino, const ExtentMap& map, uint64_t block);
    Result<Reservation> reserve_for(Ino ino, BlockNo goal, uint64_t want, uint64_t aside);
    struct WritePlan;
    Result<WritePlan> plan_write(Ino ino, uint64_t offset, uint64_t end);
    Result<> enter_write(Ino ino, const WritePlan& plan, uint64_t end);
    Result<size_t> write_some(Ino ino, uint64_t offset, std::span<const std::byte> data);
    Result<bool> overwrite(Ino ino, uint64_t offset, std::span<const std::byte> data);
    // What fallocate leaves in the record: the time of all its steps; the new size, if any.
    struct SpaceChange {
        timespec time;
        std::optional<uint64_t> size;
    };
    struct BlockRange {
        uint64_t first, end;  // of the file
    };
    // As Volume::fallocate(), to a length that is not zero. REQUIRES: the DataLock held exclusively
    Result<> fallocate_locked(Ino ino, FallocateMode mode, uint64_t offset, uint64_t end,
                              bool keep_size);
    Result<> zero_edges(Ino ino, uint64_t from, uint64_t to);
    Result<> finish_step(Handle& handle, Ino ino, const SpaceChange& change, bool last);
    Result<> allocate_range(Ino ino, uint64_t first, uint64_t end, const BlockRange& zeroed,
                            const SpaceChange& change);
    Result<> punch_range(Ino ino, uint64_t first, uint64_t end, const SpaceChange& change);
    // A record that is a regular file which may be changed. REQUIRES: the DataLock held exclusively
    Result<InodeTable::Ref> writable_file(Ino ino);
    Result<uint64_t> writable_size(Ino ino);

    // Operations on metadata run within one of these two, which read what is missing without
    // holding a lock (see Journal::unlocked_io, also for what an operation may not do).
    template <typename F>
    auto look(F&& operation) -> decltype(operation()) {
        return journal->unlocked_io(operation);
    }
    template <typename F>
    auto with_space(F&& operation) -> decltype(operation()) {
        return retry_space([&] { return look(operation); });
    }
    // Runs something again that found no space: without preallocated space, with what a trim held,
    // and then after a checkpoint, which brings back blocks that were freed but wait for the log.
    template <typename F>
    auto retry_space(F&& operation) -> decltype(operation()) {
        uint64_t trims = allocator->trims();
        auto result = operation();
        const auto full = [&] { return !result && result.error().code == ENOSPC; };
        if (full() && allocator->windows().drop_all() > 0) result = operation();
        while (full() && allocator->wait_for_trim(trims)) {
            trims = allocator->trims();
            result = operation();
        }
        while (full()) {
            EXO_TRY_ASSIGN(const bool more, allocator->load_more());
            if (!more) break;
            result = operation();
        }
        if (full() && journal->deferred_blocks() > 0) {
            EXO_TRY(journal->checkpoint());
            (void)allocator->load_more();
            result = operation();
        }
        return result;
    }
};

// ctime, and mtime if asked. What takes several transactions has one time for all of them.
void touch(InodeRecord& record, bool mtime, const timespec& now = current_time());
bool touched_now(const InodeRecord& record);  // touching it would change no time
Result<> check_name(std::string_view name);
Result<InodeTable::Ref> read_directory(InodeTable& inodes, Ino ino);  // ENOTDIR
// EUCLEAN: the entry's inode is not in use.
std::unexpected<Error> dangling(Ino dir, std::string_view name);

}  // namespace exo
