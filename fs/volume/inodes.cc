// SPDX-License-Identifier: MIT
// Attributes, references and fsync.
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
    return v.look([&]() -> Result<FileAttr> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        return v.attr_of(ino, *ref.record);
    });
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
        if (changes.mode) EXO_TRY(v.chmod_record(handle, ino, record, *changes.mode));
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
    return impl_->look([&]() -> Result<> {
        auto reader = impl_->journal->reader();
        EXO_TRY(impl_->inodes->read(ino));
        impl_->take_ref(ino);
        return {};
    });
}

void Volume::close_ref(Ino ino, uint64_t count) {
    if (impl_->states.unref(ino, count) && !impl_->read_only) impl_->destroy(ino);
    if (!impl_->states.referenced(ino)) impl_->allocator->windows().drop(ino);
}

Result<> Volume::fsync(Ino ino, bool data_only) {
    VolumeImpl& v = *impl_;
    if (v.read_only) return {};
    const auto sequences = v.states.sequences(ino, v.journal->running_sequence());
    // Also flushes the data when there is nothing to commit.
    return v.journal->commit(data_only ? sequences.data : sequences.any);
}

}  // namespace exo
