// SPDX-License-Identifier: MIT
// Who has which file open and who may change it right now: counts open files, those with write
// access and the changes in progress of every inode, and excludes writers from pinned files. Knows
// nothing of disks or of the kernel module.
//
// Why counting writable opens is enough to know that the kernel holds no dirty page of a file
// (Linux 6.12, fs/fuse/file.c), also with the write-back cache:
//
// * Every WRITE of cached pages is sent on some open file of the inode's write_files list and holds
//   a reference to it (fuse_write_file_get); RELEASE is sent only when the last reference goes
//   (fuse_file_put).
// * close() of a writable file first writes back and waits (fuse_flush: write_inode_now,
//   fuse_sync_writes), and fuse_release() writes back again what raced with that, before RELEASE is
//   queued.
// * A shared writable mapping holds its open file, so RELEASE cannot be sent while it exists.
//   Unmapping moves the dirty bits of the page table to the pages before fuse_vma_close() writes
//   them back, and only then is the file put.
// * Direct I/O in flight holds the open file through its kiocb until it completes.
// * truncate(2) needs no open file: it is counted here as a change, like every request that changes
//   data.
//
// So once the RELEASE of the last writable open file arrived and no change is in progress, nothing
// is left to come; and an OPEN is counted before it is answered, so nothing new starts unseen.
// RELEASE is sent in the background: it may arrive a little after close() returned, which is why a
// pin waits for it.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace exo::fuse {

class OpenFiles {
  public:
    // A change in progress. Empty after a refusal.
    class Change {
      public:
        Change() = default;
        Change(Change&& other) noexcept
            : files_(std::exchange(other.files_, nullptr)), ino_(other.ino_) {}
        Change& operator=(Change&&) = delete;
        ~Change() {
            if (files_) files_->end_change(ino_);
        }
        explicit operator bool() const { return files_ != nullptr; }

      private:
        friend class OpenFiles;
        Change(OpenFiles* files, uint64_t ino) : files_(files), ino_(ino) {}
        OpenFiles* files_ = nullptr;
        uint64_t ino_ = 0;
    };

    // Whether the request comes by an open file that open() counted as a writer.
    enum class Origin { kPath, kOpenFile };

    // False: it asks for write access and the file is pinned or being pinned (EPERM).
    bool open(uint64_t ino, bool writable);
    void release(uint64_t ino, bool writable);
    bool is_open(uint64_t ino);
    bool has_writers(uint64_t ino);

    // Empty: refused (EPERM). While a pin waits for the writers to finish, theirs are still let
    // through.
    Change begin_change(uint64_t ino, Origin origin);

    // Stops new writers, then waits for those there are. 0; EEXIST: it is pinned; EBUSY: its pin is
    // being changed by another; ETXTBSY: a writer did not go away in time. After 0 the caller ends
    // it with end_pin_change().
    int begin_pin(uint64_t ino, std::chrono::milliseconds patience);

    // For unpinning, or for changing a pin's kind. 0; ENODATA: not pinned; EBUSY as above. After 0
    // writers stay excluded until end_pin_change(), and no other changes the pin.
    int begin_pin_change(uint64_t ino, std::chrono::milliseconds patience);
    void end_pin_change(uint64_t ino, bool pinned);

    // It was pinned on disk when the volume was mounted.
    void set_pinned(uint64_t ino) { end_pin_change(ino, true); }

  private:
    enum class State : uint8_t { kFree, kPinning, kPinned, kChanging };
    struct File {
        uint32_t opens = 0;
        uint32_t writers = 0;
        uint32_t changes = 0;
        State state = State::kFree;
        bool idle() const { return opens == 0 && changes == 0 && state == State::kFree; }
    };
    struct Shard {
        std::mutex mutex;  // guards files; nothing is called with it held
        std::condition_variable changed;
        std::unordered_map<uint64_t, File> files;  // those that are not idle
    };
    using Lock = std::unique_lock<std::mutex>;

    void end_change(uint64_t ino);
    Shard& shard(uint64_t ino) { return shards_[ino % shards_.size()]; }
    // Waits until no pin, unpin or change of kind of the file is going on. False: in vain.
    static bool wait_for_pin_changes(Shard& shard, Lock& lock, uint64_t ino,
                                     std::chrono::steady_clock::time_point deadline);
    static void drop_if_idle(Shard& shard, uint64_t ino);

    std::array<Shard, 64> shards_;
};

}  // namespace exo::fuse
