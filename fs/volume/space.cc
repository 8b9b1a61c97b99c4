// SPDX-License-Identifier: MIT
// The space of files: truncation, allocation ahead, holes. What needs many changes is done in
// steps, each a handle.
#include <unistd.h>

#include <algorithm>

#include "fs/volume/impl.h"
#include "fs/volume/io_list.h"

namespace exo {

Result<uint64_t> VolumeImpl::writable_size(Ino ino) {
    return look([&]() -> Result<uint64_t> {
        auto reader = journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, writable_file(ino));
        return uint64_t(ref->size);
    });
}

// Zeroes bytes [from, to) of one block of the file, if it is there and written.
Result<> VolumeImpl::zero_within_block(Ino ino, uint64_t from, uint64_t to) {
    EXO_TRY_ASSIGN(const Segment segment, look([&]() -> Result<Segment> {
                       auto reader = journal->reader();
                       EXO_TRY_ASSIGN(const auto found, extents(ino).map(from / kBlockBytes, 1));
                       return found[0];
                   }));
    if (segment.hole() || segment.unwritten) return {};
    MutablePageRef page = allocate_page();
    EXO_TRY(device->read(segment.disk * kBlockBytes, page->bytes, kBlockBytes));
    const std::span bytes(page->bytes + from % kBlockBytes, to - from);
    if (std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; })) return {};
    std::ranges::fill(bytes, std::byte{0});
    return device->write(segment.disk * kBlockBytes, page->bytes, kBlockBytes);
}

Result<> VolumeImpl::make_durable(uint64_t sequence) {
    return journal->durable_sequence() < sequence ? journal->commit(sequence) : Result<>();
}

Result<> VolumeImpl::settle_truncation(Ino ino) {
    return make_durable(states.sequences(ino, journal->running_sequence()).data);
}

Result<VolumeImpl::Tail> VolumeImpl::tail_of(Ino ino) {
    return look([&]() -> Result<Tail> {
        auto reader = journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, inodes->read(ino));
        return Tail{ref->size, (ref->flags & kInodeTailStale) != 0};
    });
}

// Zeroes the bytes [from, to) of the file in place, in the blocks that they fill only in part.
Result<> VolumeImpl::zero_edges(Ino ino, uint64_t from, uint64_t to) {
    EXO_TRY_ASSIGN(const Tail tail, tail_of(ino));
    if (tail.known_stale && from < round_up(tail.size) && to > round_down(tail.size))
        EXO_TRY(settle_truncation(ino));
    const uint64_t first = round_up(from), last = round_down(to);
    if (first > last) return zero_within_block(ino, from, to);
    if (from < first) EXO_TRY(zero_within_block(ino, from, first));
    if (to > last) EXO_TRY(zero_within_block(ino, last, to));
    return {};
}

Result<> VolumeImpl::zero_stale_tail(Ino ino) {
    EXO_TRY_ASSIGN(const Tail tail, tail_of(ino));
    if (tail.known_stale) EXO_TRY(settle_truncation(ino));
    // An append that a crash cut short leaves remains that no flag tells of: look in any case.
    if (tail.size % kBlockBytes != 0)
        EXO_TRY(zero_within_block(ino, tail.size, round_up(tail.size)));
    if (!tail.known_stale) return {};
    return look([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, journal->begin());
        EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
        record->flags = record->flags & ~kInodeTailStale;
        states.changed(ino, handle.sequence(), false);
        handle.commit();
        return {};
    });
}

Result<> VolumeImpl::truncate_locked(Ino ino, uint64_t size) {
    EXO_TRY_ASSIGN(const uint64_t old_size, writable_size(ino));
    allocator->windows().drop(ino);
    if (size > old_size) EXO_TRY(zero_stale_tail(ino));
    bool more = false;
    EXO_TRY(with_space([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, journal->begin());
        EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
        const uint64_t keep = round_up(size) / kBlockBytes;
        uint64_t left = keep;
        // Also when the size stays: space allocated beyond the end goes.
        if (size <= old_size) {
            EXO_TRY_ASSIGN(left, extents(ino, Purpose::kFreeing)
                                     .remove(handle, keep, kMaxFileBlocks, kPiecesPerHandle));
        }
        EXO_TRY_ASSIGN(record, inodes->modify(handle, ino));
        record->size = size;
        if (size < old_size)
            record->flags = size % kBlockBytes ? record->flags | kInodeTailStale
                                               : record->flags & ~kInodeTailStale;
        touch(*record, true);
        more = left > keep;
        if (more) EXO_TRY(add_orphan(handle, ino, record));
        states.changed(ino, handle.sequence(), true);
        handle.commit();
        return {};
    }));
    // The rest goes in steps of its own; the orphan list makes mount finish it after a crash.
    return more ? finish_truncate(ino) : Result<>();
}

Result<> Volume::truncate(Ino ino, uint64_t size) {
    if (size > kMaxFileBytes) return fail(EFBIG);
    auto data_lock = impl_->states.data_lock(ino);
    std::unique_lock lock(data_lock.mutex());
    return impl_->truncate_locked(ino, size);
}

void Volume::closed(Ino ino) {
    impl_->allocator->windows().drop(ino);
}

// What a step leaves in the inode's record. The size comes with the last one, so that what fits in
// one step is there in full or not at all.
Result<> VolumeImpl::finish_step(Handle& handle, Ino ino, const SpaceChange& change, bool last) {
    EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
    if (last && change.size) record->size = *change.size;
    touch(*record, true, change.time);
    states.changed(ino, handle.sequence(), true);
    return {};
}

// Extents that one step looks at: it holds up every other change meanwhile.
constexpr unsigned kSegmentsPerStep = 256;

// Allocates unwritten extents for the holes of [first, end), and makes the written ones of `zeroed`
// unwritten: they keep their blocks, so zeroing does not fail for want of space where there is
// data, and what is contiguous stays so.
Result<> VolumeImpl::allocate_range(Ino ino, uint64_t first, uint64_t end, const BlockRange& zeroed,
                                    const SpaceChange& change) {
    auto step = [&](uint64_t at) -> Result<uint64_t> {
        EXO_TRY_ASSIGN(Handle handle, journal->begin());
        ExtentMap map = extents(ino);
        unsigned looked = 0;
        for (unsigned piece = 0; piece < kPiecesPerHandle && looked < kSegmentsPerStep && at < end;
             looked++) {
            EXO_TRY_ASSIGN(const auto segments, map.map(at, end - at, 1));
            const Segment& segment = segments.front();
            const uint64_t segment_end = at + segment.count;
            if (segment.hole()) {
                EXO_TRY_ASSIGN(const BlockNo goal, goal_of(ino, map, at));
                EXO_TRY_ASSIGN(Reservation room,
                               allocator->reserve(segment.count, goal, Purpose::kData));
                EXO_TRY_ASSIGN(const BlockRun run, allocator->allocate(handle, std::move(room)));
                EXO_TRY(map.insert(handle, at, run, true));
                EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
                record->blocks = record->blocks + run.count;
                at += run.count;
                piece++;
                continue;
            }
            const uint64_t from = std::max(at, zeroed.first);
            const uint64_t to = std::min(segment_end, zeroed.end);
            if (!segment.unwritten && from < to) {
                EXO_TRY(map.set_unwritten(handle, from, to - from));
                states.zeroed(ino, handle.sequence(), journal->durable_sequence());
                piece++;
            }
            at = segment_end;
        }
        EXO_TRY(finish_step(handle, ino, change, at == end));
        handle.commit();
        return at;
    };
    for (uint64_t done = first; done < end;) {
        EXO_TRY_ASSIGN(done, with_space([&] { return step(done); }));
    }
    return {};
}

Result<> VolumeImpl::punch_range(Ino ino, uint64_t first, uint64_t end, const SpaceChange& change) {
    auto step = [&](uint64_t stop) -> Result<uint64_t> {
        EXO_TRY_ASSIGN(Handle handle, journal->begin());
        uint64_t left = first;
        if (first < stop) {
            EXO_TRY_ASSIGN(left, extents(ino).remove(handle, first, stop, kPiecesPerHandle));
        }
        EXO_TRY(finish_step(handle, ino, change, left == first));
        handle.commit();
        return left;
    };
    do {
        EXO_TRY_ASSIGN(end, with_space([&] { return step(end); }));
    } while (first < end);
    return {};
}

Result<> VolumeImpl::fallocate_locked(Ino ino, FallocateMode mode, uint64_t offset, uint64_t end,
                                      bool keep_size) {
    EXO_TRY_ASSIGN(const uint64_t size, writable_size(ino));
    allocator->windows().drop(ino);
    SpaceChange change{current_time(), {}};
    if (mode != FallocateMode::kPunchHole && end > size && !keep_size) {
        change.size = end;
        EXO_TRY(zero_stale_tail(ino));
    }
    if (mode == FallocateMode::kAllocate) {
        // Refuse at once what cannot fit, rather than fill the volume and fail.
        if ((end - offset) / kBlockBytes > superblock.size_blocks) return fail(ENOSPC);
        return allocate_range(ino, offset / kBlockBytes, round_up(end) / kBlockBytes, {0, 0},
                              change);
    }
    EXO_TRY(zero_edges(ino, offset, end));
    const uint64_t first = round_up(offset) / kBlockBytes;
    const BlockRange whole{first, std::max(first, round_down(end) / kBlockBytes)};
    if (mode == FallocateMode::kPunchHole) return punch_range(ino, whole.first, whole.end, change);
    return allocate_range(ino, offset / kBlockBytes, round_up(end) / kBlockBytes, whole, change);
}

Result<> Volume::fallocate(Ino ino, FallocateMode mode, uint64_t offset, uint64_t length,
                           bool keep_size) {
    if (length == 0) return fail(EINVAL);
    if (length > kMaxFileBytes || offset > kMaxFileBytes - length) return fail(EFBIG);
    auto data_lock = impl_->states.data_lock(ino);
    std::unique_lock lock(data_lock.mutex());
    return impl_->fallocate_locked(ino, mode, offset, offset + length, keep_size);
}

Result<uint64_t> Volume::seek(Ino ino, uint64_t offset, int whence) {
    VolumeImpl& v = *impl_;
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return fail(EINVAL);
    return v.look([&]() -> Result<uint64_t> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        const uint64_t size = ref->size;
        if (offset >= size) return fail(ENXIO);
        const ExtentMap map = v.extents(ino);
        uint64_t at = offset / kBlockBytes;
        const uint64_t end = round_up(size) / kBlockBytes;
        std::optional<uint64_t> found;
        auto look = [&](const Segment& segment) {
            if (segment.file_block >= end) return false;
            const uint64_t from = std::max(segment.file_block, at);
            if (whence == SEEK_DATA && !segment.unwritten) {
                found = from;
                return false;
            }
            if (whence == SEEK_HOLE && (segment.file_block > at || segment.unwritten)) {
                found = at;
                return false;
            }
            at = segment.file_block + segment.count;
            return true;
        };
        EXO_TRY_ASSIGN(const Segment first, map.extent_from(at));
        if (first.count > 0 && look(first)) EXO_TRY(map.for_each(first.file_block + 1, look));
        if (!found && whence == SEEK_DATA) return fail(ENXIO);
        const uint64_t result = found.value_or(at) * kBlockBytes;
        return std::min(std::max(result, offset), size);
    });
}

}  // namespace exo
