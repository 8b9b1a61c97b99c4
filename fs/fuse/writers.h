// SPDX-License-Identifier: MIT
// Who may change which file right now: counts the open files with write access and the changes in progress of
// every inode, and excludes both from pinned files. Knows nothing of disks or of the kernel module.
//
// Why counting writable opens is enough to know that the kernel holds no dirty page of a file (Linux 6.12,
// fs/fuse/file.c), also with the write-back cache:
//  - Every WRITE of cached pages is sent on some open file of the inode's write_files list and holds a reference
//    to it (fuse_write_file_get); its RELEASE is sent only when the last reference goes (fuse_file_put).
//  - close() of a writable file first writes back and waits (fuse_flush: write_inode_now, fuse_sync_writes), and
//    fuse_release() writes back again what raced with that, before RELEASE is queued.
//  - A shared writable mapping holds its open file, so RELEASE cannot be sent while it exists. Unmapping moves
//    the dirty bits of the page table to the pages before fuse_vma_close() writes them back, and only then is the
//    file put.
//  - Direct I/O in flight holds the open file through its kiocb until it completes.
//  - truncate(2) needs no open file: it is counted here as a change, like every other request that changes data.
// So once the RELEASE of the last writable open file arrived and no change is in progress, nothing is left to come;
// and an OPEN is counted before it is answered, so nothing new starts unseen. RELEASE is sent in
// the background: it may arrive a little after close() returned, which is why a pin waits for it.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace exo::fuse {

class Writers {
  public:
    // A change in progress. Empty after a refusal.
    class Change {
      public:
        Change() = default;
        Change(Change&& other) noexcept
            : writers_(std::exchange(other.writers_, nullptr)), ino_(other.ino_) {}
        Change& operator=(Change&&) = delete;
        ~Change() {
            if (writers_) writers_->end_change(ino_);
        }
        explicit operator bool() const { return writers_ != nullptr; }

      private:
        friend class Writers;
        Change(Writers* writers, uint64_t ino) : writers_(writers), ino_(ino) {}
        Writers* writers_ = nullptr;
        uint64_t ino_ = 0;
    };

    // Whether the request comes with an open file that was counted by open_for_write().
    enum class Origin { path, open_file };

    // False: the file is pinned or being pinned (EPERM).
    bool open_for_write(uint64_t ino);
    void release(uint64_t ino);

    // Empty: refused (EPERM). While a pin waits for the writers to finish, theirs are still let through.
    Change begin_change(uint64_t ino, Origin origin);

    // Stops new writers, then waits for those there are. 0, EEXIST when it is pinned, EBUSY when another process
    // is pinning or unpinning it, or ETXTBSY when a writer did not go away in time.
    // After 0 the caller ends it with finish_pin().
    int begin_pin(uint64_t ino, std::chrono::milliseconds patience);
    void finish_pin(uint64_t ino, bool pinned);

    // ENODATA when it is not pinned, EBUSY when it is being pinned or unpinned by another.
    // After 0 the file is still excluded until finish_unpin(), which says whether it stays so.
    int begin_unpin(uint64_t ino);
    void finish_unpin(uint64_t ino, bool still_pinned);

    // The file was pinned on disk when the volume was mounted.
    void set_pinned(uint64_t ino);

  private:
    enum class State : uint8_t { free, pinning, pinned, unpinning };
    struct File {
        uint32_t writers = 0;
        uint32_t changes = 0;
        State state = State::free;
    };
    struct Shard {
        std::mutex mutex;  // guards files; taken last, nothing is called with it held
        std::condition_variable quiet;
        std::unordered_map<uint64_t, File> files;  // those of which anything is not zero
    };

    void end_change(uint64_t ino);
    Shard& shard(uint64_t ino) { return shards_[ino % shards_.size()]; }
    static void drop_if_idle(Shard& shard, uint64_t ino);

    std::array<Shard, 64> shards_;
};

}  // namespace exo::fuse
