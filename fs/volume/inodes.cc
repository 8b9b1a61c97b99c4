// SPDX-License-Identifier: MIT
// Attributes, references, fsync, and pins.
#include <sys/sysmacros.h>

#include "fs/volume/impl.h"

namespace exo {

FileAttr VolumeImpl::attr_of(Ino ino, const InodeRecord& record) {
    FileAttr attr;
    attr.ino = ino;
    attr.generation = record.generation;
    attr.mode = record.mode;
    attr.nlink = record.nlink;
    attr.uid = record.uid;
    attr.gid = record.gid;
    const uint64_t rdev = record.rdev;
    attr.rdev = makedev(unsigned(rdev >> 32), unsigned(rdev & UINT32_MAX));
    attr.size = record.size;
    attr.blocks_512 = record.blocks * (kBlockBytes / 512);
    attr.atime = {record.atime_s, long(record.atime_ns)};
    attr.mtime = {record.mtime_s, long(record.mtime_ns)};
    attr.ctime = {record.ctime_s, long(record.ctime_ns)};
    attr.btime = {record.btime_s, long(record.btime_ns)};
    if (S_ISREG(record.mode)) {
        std::lock_guard lock(pins_mutex);
        if (auto it = pins.find(ino); it != pins.end()) {
            attr.pinned = true;
            attr.pin_persistent = it->second;
        }
    }
    return attr;
}

Result<FileAttr> Volume::getattr(Ino ino) {
    VolumeImpl& v = *impl_;
    auto reader = v.journal->reader();
    EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
    return v.attr_of(ino, *ref.record);
}

Result<FileAttr> Volume::setattr(Ino ino, const SetAttr& changes) {
    VolumeImpl& v = *impl_;
    auto bad = [](const std::optional<timespec>& t) {
        return t && (t->tv_nsec < 0 || t->tv_nsec >= 1000000000);
    };
    if (bad(changes.atime) || bad(changes.mtime) || bad(changes.ctime)) return fail(EINVAL);
    if (changes.size) EXO_TRY(truncate(ino, *changes.size));
    return v.with_space([&]() -> Result<FileAttr> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        if (changes.mode) record->mode = (record->mode & S_IFMT) | (*changes.mode & 07777);
        if (changes.uid) record->uid = *changes.uid;
        if (changes.gid) record->gid = *changes.gid;
        touch(*record, false);
        if (changes.atime) {
            record->atime_s = changes.atime->tv_sec;
            record->atime_ns = uint32_t(changes.atime->tv_nsec);
        }
        if (changes.mtime) {
            record->mtime_s = changes.mtime->tv_sec;
            record->mtime_ns = uint32_t(changes.mtime->tv_nsec);
        }
        if (changes.ctime) {
            record->ctime_s = changes.ctime->tv_sec;
            record->ctime_ns = uint32_t(changes.ctime->tv_nsec);
        }
        const FileAttr attr = v.attr_of(ino, *record);
        v.states.changed(ino, handle.sequence(), false);
        handle.commit();
        return attr;
    });
}

Result<> Volume::open_ref(Ino ino) {
    auto reader = impl_->journal->reader();
    EXO_TRY(impl_->inodes->read(ino));
    impl_->take_ref(ino);
    return {};
}

void Volume::close_ref(Ino ino, uint64_t count) {
    if (impl_->states.unref(ino, count) && !impl_->read_only) impl_->destroy(ino);
}

Result<> Volume::fsync(Ino ino, bool data_only) {
    VolumeImpl& v = *impl_;
    if (v.read_only) return {};
    const auto sequences = v.states.sequences(ino, v.journal->running_sequence());
    // Also flushes the data when there is nothing to commit.
    return v.journal->commit(data_only ? sequences.data : sequences.any);
}

// -- pins

Result<> Volume::set_pinned(Ino ino, bool persistent) {
    VolumeImpl& v = *impl_;
    auto data_lock = v.states.data_lock(ino);
    std::unique_lock lock(data_lock->mutex);
    {
        std::lock_guard pins(v.pins_mutex);
        auto it = v.pins.find(ino);
        if (it != v.pins.end() && (it->second || !persistent)) return fail(EEXIST);
    }
    {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (S_ISDIR(ref->mode)) return fail(EISDIR);
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
    }
    if (!v.read_only) {
        EXO_TRY(v.zero_stale_tail(ino));
        if (persistent) {
            EXO_TRY(v.with_space([&]() -> Result<> {
                EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
                EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
                if ((record->flags & kInodePinned) == 0) {
                    record->flags = record->flags | kInodePinned;
                    EXO_TRY(v.index(kPinIndexIno).insert(handle, ino, record->generation));
                }
                handle.commit();
                return {};
            }));
        }
        EXO_TRY(v.journal->commit(v.journal->running_sequence()));
    } else if (persistent) {
        return fail(EROFS);
    }
    std::lock_guard pins(v.pins_mutex);
    v.pins[ino] = persistent;
    return {};
}

Result<> Volume::clear_pinned(Ino ino) {
    VolumeImpl& v = *impl_;
    auto data_lock = v.states.data_lock(ino);
    bool orphan = false;
    {
        std::unique_lock lock(data_lock->mutex);
        bool persistent;
        {
            std::lock_guard pins(v.pins_mutex);
            auto it = v.pins.find(ino);
            if (it == v.pins.end()) return fail(ENODATA);
            persistent = it->second;
        }
        if (persistent) {
            if (v.read_only) return fail(EROFS);
            EXO_TRY(v.with_space([&]() -> Result<> {
                EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
                EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
                record->flags = record->flags & ~kInodePinned;
                EXO_TRY(v.index(kPinIndexIno).erase(handle, ino));
                handle.commit();
                return {};
            }));
        }
        {
            auto reader = v.journal->reader();
            if (auto ref = v.inodes->read(ino)) orphan = (*ref)->nlink == 0;
        }
        std::lock_guard pins(v.pins_mutex);
        v.pins.erase(ino);
    }
    if (orphan && !v.read_only && v.states.mark_orphan(ino)) v.destroy(ino);
    return {};
}

Result<std::vector<PinnedInode>> Volume::pinned_inodes() {
    auto reader = impl_->journal->reader();
    EXO_TRY_ASSIGN(const auto items, impl_->index(kPinIndexIno).list());
    std::vector<PinnedInode> pinned;
    for (const auto& item : items) pinned.push_back({item.ino, item.generation});
    return pinned;
}

Result<std::vector<FileExtent>> Volume::extents_of(Ino ino, uint64_t offset, size_t max_extents) {
    VolumeImpl& v = *impl_;
    auto reader = v.journal->reader();
    EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
    std::vector<FileExtent> extents;
    if (!S_ISREG(ref->mode) || offset / kBlockBytes >= kMaxFileBlocks || max_extents == 0)
        return extents;
    const ExtentMap map = v.extents(ino);
    auto add = [&](const Segment& s) {
        extents.push_back(
            {s.file_block * kBlockBytes, s.disk * kBlockBytes, s.count * kBlockBytes, s.unwritten});
        return extents.size() < max_extents;
    };
    EXO_TRY_ASSIGN(const Segment first, map.extent_from(offset / kBlockBytes));
    if (first.count > 0 && add(first)) EXO_TRY(map.for_each(first.file_block + 1, add));
    return extents;
}

uint64_t Volume::extent_count(Ino ino) {
    VolumeImpl& v = *impl_;
    auto reader = v.journal->reader();
    auto ref = v.inodes->read(ino);
    if (!ref || !S_ISREG((*ref)->mode)) return 0;
    uint64_t count = 0;
    (void)v.extents(ino).for_each(0, [&](const Segment&) {
        count++;
        return true;
    });
    return count;
}

}  // namespace exo
