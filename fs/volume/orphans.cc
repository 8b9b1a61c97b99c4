// SPDX-License-Identifier: MIT
// Inodes whose blocks are to be freed: without a name, or with a truncation under way. Freeing goes
// in steps, each a handle; the orphan index makes the next mount go on after a crash.
#include "fs/base/log.h"
#include "fs/volume/impl.h"

namespace exo {

Result<> VolumeImpl::add_orphan(Handle& handle, Ino ino, InodeRecord* record) {
    if ((record->flags & kInodeOrphan) != 0) return {};
    record->flags = record->flags | kInodeOrphan;
    return index(kOrphanIndexIno).insert(handle, ino, record->generation);
}

Result<> VolumeImpl::drop_orphan(Handle& handle, Ino ino, InodeRecord* record) {
    if ((record->flags & kInodeOrphan) == 0) return {};
    record->flags = record->flags & ~kInodeOrphan;
    EXO_TRY(index(kOrphanIndexIno).erase(handle, ino));
    return {};
}

// True: all is done.
Result<bool> VolumeImpl::destroy_step(Ino ino) {
    EXO_TRY_ASSIGN(Handle handle, journal->begin());
    EXO_TRY_ASSIGN(const InodeTable::Ref ref, inodes->read(ino));
    if (ref->nlink > 0) return true;
    if (S_ISREG(ref->mode)) {
        EXO_TRY_ASSIGN(
            const uint64_t left,
            extents(ino, Purpose::kFreeing).remove(handle, 0, kMaxFileBlocks, kPiecesPerHandle));
        if (left > 0) {
            handle.commit();
            return false;
        }
    } else if (S_ISLNK(ref->mode)) {
        Tree tree(*core, *inodes, ino, Purpose::kFreeing);
        for (uint64_t piece = 0; piece * kSymlinkPieceBytes <= kMaxSymlinkBytes; piece++)
            EXO_TRY(tree.erase(handle, piece));
    }
    EXO_TRY_ASSIGN(const bool plain,
                   Attributes(*core, *inodes, ino, Purpose::kFreeing).erase_some(handle));
    if (!plain) {
        handle.commit();
        return false;
    }
    EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
    EXO_TRY_ASSIGN(const bool bare, Tree(*core, *inodes, ino).empty());
    if (!bare || record->blocks != 0)
        return fail(EUCLEAN, "inode " + std::to_string(ino) +
                                 " still has blocks after everything was freed: run fsck.exo");
    EXO_TRY(drop_orphan(handle, ino, record));
    EXO_TRY(inodes->release(handle, ino));
    handle.commit();
    return true;
}

void VolumeImpl::destroy(Ino ino) {
    if (pinned(ino)) return;  // clear_pinned() comes back to it
    auto data_lock = states.data_lock(ino);
    std::unique_lock lock(data_lock.mutex());
    allocator->windows().drop(ino);
    for (;;) {
        const auto done = look([&] { return destroy_step(ino); });
        if (done && !*done) continue;
        if (!done)
            log(LogLevel::kWarning,
                "freeing inode " + std::to_string(ino) + " failed: " + describe(done.error()));
        return;
    }
}

Result<> VolumeImpl::finish_truncate(Ino ino) {
    for (;;) {
        EXO_TRY_ASSIGN(const bool done, look([&] { return truncate_step(ino); }));
        if (done) return {};
    }
}

Result<bool> VolumeImpl::truncate_step(Ino ino) {
    EXO_TRY_ASSIGN(Handle handle, journal->begin());
    EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
    if (S_ISREG(record->mode)) {
        const uint64_t keep = (record->size + kBlockBytes - 1) / kBlockBytes;
        EXO_TRY_ASSIGN(
            const uint64_t left,
            extents(ino, Purpose::kFreeing).remove(handle, keep, kMaxFileBlocks, kPiecesPerHandle));
        if (left > keep) {
            handle.commit();
            return false;
        }
    }
    EXO_TRY_ASSIGN(record, inodes->modify(handle, ino));
    if (record->nlink > 0) EXO_TRY(drop_orphan(handle, ino, record));
    const uint64_t sequence = handle.sequence();
    handle.commit();
    states.changed(ino, sequence, true);
    return true;
}

Result<> Volume::reclaim_orphans() {
    VolumeImpl& v = *impl_;
    if (v.read_only) return {};
    EXO_TRY_ASSIGN(const auto items, v.look([&] {
        auto reader = v.journal->reader();
        return v.index(kOrphanIndexIno).list();
    }));
    for (const auto& item : items) {
        if (v.states.referenced(item.ino) || v.pinned(item.ino)) continue;
        const auto linked = v.look([&]() -> Result<bool> {
            auto reader = v.journal->reader();
            EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(item.ino));
            return ref->nlink > 0;
        });
        if (!linked) {
            log(LogLevel::kWarning, "the orphan list names inode " + std::to_string(item.ino) +
                                        ", which cannot be read: " + describe(linked.error()));
            continue;
        }
        if (!*linked) {
            v.destroy(item.ino);
            continue;
        }
        auto data_lock = v.states.data_lock(item.ino);
        std::unique_lock lock(data_lock.mutex());
        if (auto result = v.finish_truncate(item.ino); !result)
            log(LogLevel::kWarning, "finishing the truncation of inode " +
                                        std::to_string(item.ino) +
                                        " failed: " + describe(result.error()));
    }
    return {};
}

}  // namespace exo
