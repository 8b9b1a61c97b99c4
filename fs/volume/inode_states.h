// SPDX-License-Identifier: MIT
// What is known of inodes in use that is not on disk: references, the lock of their data, and which
// transaction last changed them. Small, because the kernel may hold references to a million.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "fs/base/fair_shared_mutex.h"
#include "fs/format/layout.h"

namespace exo {

class InodeStates {
  public:
    // An inode's lock, for as long as this is there. Held shared to read a file's data or overwrite
    // whole blocks in place, exclusively for every other change of its data, size or extents.
    // Taken before any lock of the journal. Nobody waits for it for ever, and nobody takes it
    // twice.
    class DataLock;

    // `sequence`: the running transaction, taken as the last change when nothing better is known.
    void ref(Ino ino, uint64_t count, uint64_t sequence);
    // True when the last reference of an inode without links went: destroy it.
    bool unref(Ino ino, uint64_t count);
    // The last link went. True when nobody has a reference: destroy it.
    bool mark_orphan(Ino ino);
    void clear_orphan(Ino ino);
    bool referenced(Ino ino);
    DataLock data_lock(Ino ino);

    // Where the inode's next blocks should go (0: nowhere special). Forgotten with its references.
    void place(Ino ino, BlockNo goal);
    BlockNo placement(Ino ino);

    // What the running transaction `sequence` zeroed keeps its blocks, and must not be written in
    // part before that is durable. Those that are by `durable` are forgotten.
    void zeroed(Ino ino, uint64_t sequence, uint64_t durable);
    uint64_t zeroed_by(Ino ino);  // the last such transaction; 0: none

    void changed(Ino ino, uint64_t sequence, bool data);
    struct Sequences {
        uint64_t any, data;  // data: size or extents changed
    };
    Sequences sequences(Ino ino, uint64_t unknown);

  private:
    struct State {
        uint64_t refs : 63 = 0;
        uint64_t orphan : 1 = 0;
        uint64_t any = 0, data = 0;
    };
    struct LockNode {
        FairSharedMutex mutex;
        uint32_t users = 0;
    };
    struct Shard {
        std::mutex mutex;  // guards all of it; a leaf
        std::unordered_map<Ino, State> states;
        std::unordered_map<Ino, BlockNo> placements;
        std::unordered_map<Ino, uint64_t> zeroed;  // by which transaction
        std::unordered_map<Ino, LockNode> locks;   // those somebody uses
    };
    static constexpr unsigned kShards = 32;
    Shard& shard(Ino ino) { return shards_[ino % kShards]; }
    Shard shards_[kShards];
};

class InodeStates::DataLock {
  public:
    DataLock(const DataLock&) = delete;
    DataLock& operator=(const DataLock&) = delete;
    ~DataLock();
    FairSharedMutex& mutex() { return node_.mutex; }

  private:
    friend class InodeStates;
    DataLock(Shard& shard, Ino ino, LockNode& node) : shard_(shard), ino_(ino), node_(node) {}
    Shard& shard_;
    Ino ino_;
    LockNode& node_;
};

}  // namespace exo
