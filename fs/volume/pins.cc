// SPDX-License-Identifier: MIT
// Pins: what makes a file immutable, on disk and in memory.
#include "fs/volume/impl.h"

namespace exo {

Result<> Volume::set_pinned(Ino ino, bool persistent) {
    VolumeImpl& v = *impl_;
    auto data_lock = v.states.data_lock(ino);
    std::unique_lock lock(data_lock.mutex());
    {
        std::lock_guard pins(v.pins_mutex);
        auto it = v.pins.find(ino);
        if (it != v.pins.end() && (it->second || !persistent)) return fail(EEXIST);
    }
    EXO_TRY(v.look([&]() -> Result<> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (S_ISDIR(ref->mode)) return fail(EISDIR);
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        return {};
    }));
    v.allocator->windows().drop(ino);
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
        std::unique_lock lock(data_lock.mutex());
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
            // Before anybody can change the file: a crash must not bring back the pin over that.
            EXO_TRY(v.journal->commit(v.journal->running_sequence()));
        }
        const auto unlinked = v.look([&]() -> Result<bool> {
            auto reader = v.journal->reader();
            EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
            return ref->nlink == 0;
        });
        orphan = unlinked.value_or(false);
        std::lock_guard pins(v.pins_mutex);
        v.pins.erase(ino);
    }
    if (orphan && !v.read_only && v.states.mark_orphan(ino)) v.destroy(ino);
    return {};
}

Result<std::vector<PinnedInode>> Volume::pinned_inodes() {
    return impl_->look([&]() -> Result<std::vector<PinnedInode>> {
        auto reader = impl_->journal->reader();
        EXO_TRY_ASSIGN(const auto items, impl_->index(kPinIndexIno).list());
        std::vector<PinnedInode> pinned;
        for (const auto& item : items) pinned.push_back({item.ino, item.generation});
        return pinned;
    });
}

}  // namespace exo
