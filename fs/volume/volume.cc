// SPDX-License-Identifier: MIT
// Mount, sync and unmount; the background thread.
#include "fs/volume/volume.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "fs/base/log.h"
#include "fs/volume/impl.h"

namespace exo {

namespace {
VolumeInfo info_of(const Superblock& superblock) {
    VolumeInfo info{};
    memcpy(info.uuid.data(), superblock.uuid, sizeof superblock.uuid);
    info.label.assign(superblock.label, strnlen(superblock.label, sizeof superblock.label));
    info.size_bytes = superblock.size_blocks * kBlockBytes;
    return info;
}
}  // namespace

timespec current_time() {
    timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now;
}

bool touched_now(const InodeRecord& record) {
    const timespec now = current_time();
    return record.ctime_s == now.tv_sec && record.mtime_s == now.tv_sec &&
           record.ctime_ns == uint32_t(now.tv_nsec) && record.mtime_ns == uint32_t(now.tv_nsec);
}

void touch(InodeRecord& record, bool mtime, const timespec& now) {
    record.ctime_s = now.tv_sec;
    record.ctime_ns = uint32_t(now.tv_nsec);
    if (mtime) {
        record.mtime_s = now.tv_sec;
        record.mtime_ns = uint32_t(now.tv_nsec);
    }
    record.changes = record.changes + 1;
}

Volume::Volume(std::unique_ptr<VolumeImpl> impl) : impl_(std::move(impl)) {}

Volume::~Volume() {
    if (impl_ && !impl_->closed) {
        if (auto result = close(); !result)
            log(LogLevel::kError, "unmount: " + describe(result.error()));
    }
}

VolumeImpl::~VolumeImpl() {
    stop_background();
}

Result<std::unique_ptr<Volume>> Volume::open(std::unique_ptr<BlockDevice> device,
                                             const MountOptions& options) {
    auto impl = std::make_unique<VolumeImpl>();
    impl->device = std::move(device);
    impl->options = options;
    BlockDevice& dev = *impl->device;
    EXO_TRY_ASSIGN(const LoadedSuperblock loaded, load_superblock(dev));
    impl->superblock = loaded.superblock;
    Superblock& sb = impl->superblock;
    impl->read_only = options.read_only || dev.read_only();
    if ((sb.ro_compat & ~kKnownRoCompat) != 0 && !impl->read_only) {
        char bits[32];
        snprintf(bits, sizeof bits, "0x%llx",
                 static_cast<unsigned long long>(sb.ro_compat & ~kKnownRoCompat));
        return fail(EROFS, dev.name() + ": has features that this version of exo cannot write (" +
                               bits + "): mount it read-only (-o ro) or use a newer exo");
    }
    if (loaded.from_backup)
        log(LogLevel::kWarning, dev.name() +
                                    ": the primary superblock is damaged; using the backup "
                                    "at block " +
                                    std::to_string(loaded.backup) +
                                    (impl->read_only ? "" : " and restoring the primary"));
    if ((sb.state & kStateError) != 0)
        log(LogLevel::kWarning, dev.name() + ": damage was found earlier: run fsck.exo");

    if (!impl->read_only) {
        sb.state = sb.state | kStateMounted;
        sb.mount_count = sb.mount_count + 1;
        sb.mounted_s = current_time().tv_sec;
        EXO_TRY(store_superblock(dev, sb, kSuperblockPlace));
    }
    EXO_TRY_ASSIGN(impl->journal, Journal::open(dev, sb, {impl->read_only, options.cache_bytes}));
    impl->replayed = impl->journal->replayed();
    EXO_TRY_ASSIGN(impl->allocator, Allocator::open(dev, *impl->journal, sb, options.discard));
    std::array<uint8_t, 16> hash_key;
    memcpy(hash_key.data(), sb.hash_key, sizeof sb.hash_key);
    impl->core.reset(new Core{dev, sb, *impl->journal, *impl->allocator, hash_key});
    impl->inodes = std::make_unique<InodeTable>(*impl->core);
    EXO_TRY(impl->inodes->load());
    {
        auto reader = impl->journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref root, impl->inodes->read(kRootIno));
        if (!S_ISDIR(root->mode))
            return fail(EUCLEAN, dev.name() + ": the root is no directory: run fsck.exo");
        EXO_TRY_ASSIGN(const auto pinned, impl->index(kPinIndexIno).list());
        for (const auto& item : pinned) impl->pins[item.ino] = true;
    }
    std::unique_ptr<Volume> volume(new Volume(std::move(impl)));
    if (!volume->impl_->read_only) {
        if (!options.defer_orphans) EXO_TRY(volume->reclaim_orphans());
        if (options.commit_interval_ms > 0) {
            VolumeImpl* raw = volume->impl_.get();
            raw->journal->set_filling_hook([raw] {
                {
                    std::lock_guard lock(raw->background_mutex);
                    raw->commit_wanted = true;
                }
                raw->background_wake.notify_one();
            });
            raw->background = std::thread([raw] { raw->run_background(); });
        }
    }
    return volume;
}

void VolumeImpl::run_background() {
    using namespace std::chrono;
    const auto interval = milliseconds(options.commit_interval_ms);
    const auto step = std::min<milliseconds>(interval, seconds(1));
    auto last = steady_clock::now();
    std::unique_lock lock(background_mutex);
    for (;;) {
        background_wake.wait_for(lock, step, [this] { return stop || commit_wanted; });
        if (stop) return;
        const bool wanted = std::exchange(commit_wanted, false);
        lock.unlock();
        allocator->windows().drop_idle(Windows::Clock::now());
        // Errors turn the journal read-only and are logged there.
        if (wanted || (steady_clock::now() - last >= interval && journal->has_changes())) {
            (void)journal->commit(journal->running_sequence());
            last = steady_clock::now();
        }
        if (journal->wants_checkpoint()) (void)journal->checkpoint();
        lock.lock();
    }
}

void VolumeImpl::stop_background() {
    {
        std::lock_guard lock(background_mutex);
        stop = true;
    }
    background_wake.notify_all();
    if (background.joinable()) background.join();
}

Result<> Volume::close() {
    VolumeImpl& v = *impl_;
    if (v.closed) return {};
    v.closed = true;
    v.stop_background();
    if (v.read_only) return {};
    EXO_TRY(v.journal->checkpoint());
    EXO_TRY(v.device->flush());
    v.superblock.state = v.superblock.state & ~kStateMounted;
    v.superblock.written_s = current_time().tv_sec;
    return store_superblock(*v.device, v.superblock, kSuperblockPlace);
}

Result<> Volume::sync() {
    return impl_->journal->commit(impl_->journal->running_sequence());
}

VolumeStats Volume::statfs() const {
    const VolumeImpl& v = *impl_;
    VolumeStats stats{};
    const uint64_t waiting = v.journal->deferred_blocks();
    stats.block_bytes = kBlockBytes;
    stats.blocks = v.superblock.size_blocks;
    stats.blocks_free = v.allocator->free_blocks() + waiting;
    const uint64_t kept = v.allocator->reserve_blocks();
    stats.blocks_available = stats.blocks_free > kept ? stats.blocks_free - kept : 0;
    stats.inodes_free = stats.blocks_available * kInodesPerBlock;
    stats.inodes = v.inodes->used() + stats.inodes_free;
    return stats;
}

VolumeInfo Volume::info() const {
    VolumeInfo info = info_of(impl_->superblock);
    info.read_only = impl_->read_only;
    info.journal_replayed = impl_->replayed;
    return info;
}

BlockDevice& Volume::device() {
    return *impl_->device;
}

Result<uint64_t> Volume::trim(uint64_t min_bytes) {
    if (impl_->read_only) return fail(EROFS);
    // What was freed but is still protected by the log is not offered: it is not in the free space.
    EXO_TRY_ASSIGN(const uint64_t blocks, impl_->allocator->trim(min_bytes / kBlockBytes +
                                                                 (min_bytes % kBlockBytes != 0)));
    return blocks * kBlockBytes;
}

Result<VolumeInfo> probe_volume(BlockDevice& device) {
    EXO_TRY_ASSIGN(const LoadedSuperblock loaded, load_superblock(device));
    return info_of(loaded.superblock);
}

}  // namespace exo
