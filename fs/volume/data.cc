// SPDX-License-Identifier: MIT
// File data: reads and writes go straight to the device, outside of the journal's locks. New blocks
// are reserved, written, and only then entered into the extents, so a crash never shows old
// content, and the journal's flush before a commit makes the data durable first.
#include <algorithm>
#include <cstring>

#include "fs/volume/impl.h"

namespace exo {

namespace {
constexpr size_t kMaxChunkBytes = 16u << 20;

uint64_t round_down(uint64_t value) {
    return value / kBlockBytes * kBlockBytes;
}
uint64_t round_up(uint64_t value) {
    return round_down(value + kBlockBytes - 1);
}

// Requests whose buffers are added piece by piece; neighbours on the device are joined.
class IoList {
  public:
    explicit IoList(IoKind kind) : kind_(kind) {}
    void add(uint64_t disk_offset, void* memory, size_t length) {
        if (length == 0) return;
        if (parts_.empty() || parts_.back().end != disk_offset ||
            buffers_.size() - parts_.back().first >= 512)
            parts_.push_back({disk_offset, disk_offset, buffers_.size()});
        buffers_.push_back({memory, length});
        parts_.back().end += length;
    }
    Result<> run(BlockDevice& device) {
        if (parts_.empty()) return {};
        std::vector<IoRequest> requests;
        for (size_t i = 0; i < parts_.size(); i++) {
            const size_t first = parts_[i].first,
                         last = i + 1 < parts_.size() ? parts_[i + 1].first : buffers_.size();
            requests.push_back(
                {kind_, parts_[i].start, std::span(buffers_).subspan(first, last - first)});
        }
        return device.run(requests);
    }

  private:
    struct Part {
        uint64_t start, end;
        size_t first;
    };
    IoKind kind_;
    std::vector<iovec> buffers_;
    std::vector<Part> parts_;
};
}  // namespace

Result<size_t> Volume::read(Ino ino, uint64_t offset, std::span<std::byte> buffer) {
    VolumeImpl& v = *impl_;
    auto data_lock = v.states.data_lock(ino);
    std::shared_lock lock(data_lock->mutex);
    uint64_t end;
    std::vector<Segment> segments;
    {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (S_ISDIR(ref->mode)) return fail(EISDIR);
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        const uint64_t size = ref->size;
        if (offset >= size || buffer.empty()) return 0;
        end = offset + std::min<uint64_t>(buffer.size(), size - offset);
        const uint64_t first = offset / kBlockBytes;
        EXO_TRY_ASSIGN(segments, v.extents(ino).map(first, round_up(end) / kBlockBytes - first));
    }
    // At most the first and the last block of the range are read through pages of our own.
    struct Bounce {
        MutablePageRef page;
        size_t from, length;
        std::byte* target;
    };
    std::vector<Bounce> bounces;
    IoList list(IoKind::kRead);
    for (const Segment& segment : segments) {
        const uint64_t base = segment.file_block * kBlockBytes;
        uint64_t at = std::max(base, offset);
        const uint64_t stop = std::min((segment.file_block + segment.count) * kBlockBytes, end);
        if (segment.hole() || segment.unwritten) {
            memset(buffer.data() + (at - offset), 0, stop - at);
            continue;
        }
        while (at < stop) {
            const uint64_t disk = segment.disk * kBlockBytes + (round_down(at) - base);
            std::byte* target = buffer.data() + (at - offset);
            const uint64_t whole = round_down(stop);
            if (at % kBlockBytes != 0 || whole <= at) {
                const uint64_t next = std::min(stop, round_down(at) + kBlockBytes);
                bounces.push_back({allocate_page(), at % kBlockBytes, next - at, target});
                list.add(disk, bounces.back().page->bytes, kBlockBytes);
                at = next;
            } else {
                list.add(disk, target, whole - at);
                at = whole;
            }
        }
    }
    EXO_TRY(list.run(*v.device));
    for (const Bounce& bounce : bounces)
        memcpy(bounce.target, bounce.page->bytes + bounce.from, bounce.length);
    return end - offset;
}

Result<InodeTable::Ref> VolumeImpl::writable_file(Ino ino) {
    if (read_only) return fail(EROFS);
    EXO_TRY_ASSIGN(InodeTable::Ref ref, inodes->read(ino));
    if (S_ISDIR(ref->mode)) return fail(EISDIR);
    if (!S_ISREG(ref->mode)) return fail(EINVAL);
    if (pinned(ino))
        return fail(EPERM, "inode " + std::to_string(ino) +
                               " is pinned and cannot be changed; unpin it first (exo unpin)");
    return ref;
}

// Zeroes bytes [from, to) of one block of the file, if it is there and written.
Result<> VolumeImpl::zero_within_block(Ino ino, uint64_t from, uint64_t to) {
    Segment segment;
    {
        auto reader = journal->reader();
        EXO_TRY_ASSIGN(const auto found, extents(ino).map(from / kBlockBytes, 1));
        segment = found[0];
    }
    if (segment.hole() || segment.unwritten) return {};
    MutablePageRef page = allocate_page();
    EXO_TRY(device->read(segment.disk * kBlockBytes, page->bytes, kBlockBytes));
    memset(page->bytes + from % kBlockBytes, 0, to - from);
    return device->write(segment.disk * kBlockBytes, page->bytes, kBlockBytes);
}

Result<> VolumeImpl::zero_stale_tail(Ino ino) {
    uint64_t size;
    {
        auto reader = journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, inodes->read(ino));
        if ((ref->flags & kInodeTailStale) == 0) return {};
        size = ref->size;
    }
    if (size % kBlockBytes != 0) EXO_TRY(zero_within_block(ino, size, round_up(size)));
    EXO_TRY_ASSIGN(Handle handle, journal->begin());
    EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
    record->flags = record->flags & ~kInodeTailStale;
    states.changed(ino, handle.sequence(), false);
    handle.commit();
    return {};
}

// Where the block should go: behind the one before it, or where the user wants the file.
Result<BlockNo> VolumeImpl::goal_of(Ino ino, const ExtentMap& map, uint64_t block) {
    EXO_TRY_ASSIGN(const Segment before, map.extent_before(block));
    const bool follows = before.count > 0 && before.file_block + before.count == block;
    if (!follows) {
        if (const BlockNo wanted = states.placement(ino); wanted != 0) return wanted;
    }
    return before.count > 0 ? before.disk + before.count : 0;
}

// Writes a first part of the data, as much as one handle may enter. REQUIRES: the DataLock
// exclusively, not empty
Result<size_t> VolumeImpl::write_some(Ino ino, uint64_t offset, std::span<const std::byte> data) {
    uint64_t end = offset + std::min(data.size(), kMaxChunkBytes);
    if (end < offset + data.size()) end = round_down(end);
    const uint64_t first = offset / kBlockBytes;

    struct Piece {
        Segment segment;
        size_t reservation;  // index, or SIZE_MAX
    };
    std::vector<Piece> pieces;
    std::vector<Reservation> reservations;
    uint64_t old_size;
    bool tail_stale;
    {
        auto reader = journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, writable_file(ino));
        old_size = ref->size;
        tail_stale = (ref->flags & kInodeTailStale) != 0;
        const ExtentMap map = extents(ino);
        EXO_TRY_ASSIGN(const auto segments, map.map(first, round_up(end) / kBlockBytes - first));
        BlockNo goal = 0;
        if (std::ranges::any_of(segments, &Segment::hole)) {
            EXO_TRY_ASSIGN(goal, goal_of(ino, map, first));
        }
        unsigned changes = 0;
        for (const Segment& segment : segments) {
            if (segment.hole()) {
                for (uint64_t at = 0; at < segment.count && changes < kPiecesPerHandle;) {
                    auto room = allocator->reserve(segment.count - at, goal, Purpose::kData);
                    if (!room) {
                        // What was reserved so far can still be written.
                        if (room.error().code == ENOSPC && !pieces.empty()) {
                            changes = kPiecesPerHandle;
                            break;
                        }
                        return std::unexpected(room.error());
                    }
                    goal = room->start() + room->count();
                    pieces.push_back(
                        {{segment.file_block + at, room->count(), room->start(), false},
                         reservations.size()});
                    at += room->count();
                    reservations.push_back(std::move(*room));
                    changes++;
                }
            } else {
                pieces.push_back({segment, SIZE_MAX});
                goal = segment.disk + segment.count;
                if (segment.unwritten) changes++;
            }
            if (changes >= kPiecesPerHandle) break;
        }
    }
    const Segment& last_piece = pieces.back().segment;
    end = std::min(end, (last_piece.file_block + last_piece.count) * kBlockBytes);

    const bool extends = end > old_size;
    if (extends && tail_stale && offset > old_size && old_size / kBlockBytes < first)
        EXO_TRY(zero_stale_tail(ino));

    IoList list(IoKind::kWrite);
    std::vector<MutablePageRef> bounces;
    for (const Piece& piece : pieces) {
        const Segment& segment = piece.segment;
        const bool fresh = piece.reservation != SIZE_MAX || segment.unwritten;
        const uint64_t base = segment.file_block * kBlockBytes;
        uint64_t at = std::max(base, offset);
        const uint64_t stop = std::min(base + segment.count * kBlockBytes, end);
        while (at < stop) {
            const uint64_t block = round_down(at);
            const uint64_t disk = segment.disk * kBlockBytes + (block - base);
            auto* source = const_cast<std::byte*>(data.data() + (at - offset));
            const uint64_t whole = round_down(stop);
            if (at == block && whole > at) {
                list.add(disk, source, whole - at);
                at = whole;
                continue;
            }
            const uint64_t next = std::min(stop, block + kBlockBytes);
            MutablePageRef page = fresh ? allocate_zero_page() : allocate_page();
            if (!fresh) {
                EXO_TRY(device->read(disk, page->bytes, kBlockBytes));
                // What lies behind the old end is not part of the file.
                if (old_size < block + kBlockBytes) {
                    const uint64_t keep = old_size > block ? old_size - block : 0;
                    memset(page->bytes + keep, 0, kBlockBytes - keep);
                }
            }
            memcpy(page->bytes + (at - block), source, next - at);
            list.add(disk, page->bytes, kBlockBytes);
            bounces.push_back(std::move(page));
            at = next;
        }
    }
    // A block inside of an unwritten extent or of a reservation that the data does not fill is
    // whole in memory, since data only starts and ends within the first and last block.
    EXO_TRY(list.run(*device));

    EXO_TRY_ASSIGN(Handle handle, journal->begin());
    ExtentMap map = extents(ino);
    uint64_t added = 0;
    for (const Piece& piece : pieces) {
        const Segment& segment = piece.segment;
        if (piece.reservation != SIZE_MAX) {
            EXO_TRY_ASSIGN(const BlockRun run,
                           allocator->allocate(handle, std::move(reservations[piece.reservation])));
            EXO_TRY(map.insert(handle, segment.file_block, run, false));
            added += run.count;
        } else if (segment.unwritten) {
            EXO_TRY(map.set_written(handle, segment.file_block, segment.count));
        }
    }
    EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
    record->blocks = record->blocks + added;
    if (extends) {
        record->size = end;
        record->flags = record->flags & ~kInodeTailStale;
    }
    touch(*record, true);
    const bool mapped = extends || added > 0 || std::ranges::any_of(pieces, [](const Piece& piece) {
                            return piece.segment.unwritten;
                        });
    states.changed(ino, handle.sequence(), mapped);
    handle.commit();
    return end - offset;
}

Result<size_t> Volume::write(Ino ino, uint64_t offset, std::span<const std::byte> data) {
    VolumeImpl& v = *impl_;
    if (data.size() > kMaxFileBytes || offset > kMaxFileBytes - data.size()) return fail(EFBIG);
    auto data_lock = v.states.data_lock(ino);
    std::unique_lock lock(data_lock->mutex);
    if (data.empty()) {
        auto reader = v.journal->reader();
        EXO_TRY(v.writable_file(ino));
        return 0;
    }
    size_t done = 0;
    while (done < data.size()) {
        EXO_TRY_ASSIGN(const size_t step, v.with_space([&] {
            return v.write_some(ino, offset + done, data.subspan(done));
        }));
        done += step;
    }
    return done;
}

Result<> VolumeImpl::truncate_locked(Ino ino, uint64_t size) {
    uint64_t old_size;
    {
        auto reader = journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, writable_file(ino));
        old_size = ref->size;
    }
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
    std::unique_lock lock(data_lock->mutex);
    return impl_->truncate_locked(ino, size);
}

// Allocates unwritten extents for the holes of [first, end).
Result<> VolumeImpl::allocate_range(Ino ino, uint64_t first, uint64_t end) {
    uint64_t at = first;
    while (at < end) {
        EXO_TRY(with_space([&]() -> Result<> {
            EXO_TRY_ASSIGN(Handle handle, journal->begin());
            ExtentMap map = extents(ino);
            for (unsigned piece = 0; piece < kPiecesPerHandle && at < end;) {
                EXO_TRY_ASSIGN(const auto segments, map.map(at, end - at, 1));
                const Segment& segment = segments.front();
                if (!segment.hole()) {
                    at += segment.count;
                    continue;
                }
                EXO_TRY_ASSIGN(const BlockNo goal, goal_of(ino, map, at));
                EXO_TRY_ASSIGN(Reservation room,
                               allocator->reserve(segment.count, goal, Purpose::kData));
                EXO_TRY_ASSIGN(const BlockRun run, allocator->allocate(handle, std::move(room)));
                EXO_TRY(map.insert(handle, at, run, true));
                EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
                record->blocks = record->blocks + run.count;
                at += run.count;
                piece++;
            }
            states.changed(ino, handle.sequence(), true);
            handle.commit();
            return {};
        }));
    }
    return {};
}

Result<> VolumeImpl::punch_range(Ino ino, uint64_t first, uint64_t end) {
    while (first < end) {
        EXO_TRY_ASSIGN(Handle handle, journal->begin());
        EXO_TRY_ASSIGN(end, extents(ino).remove(handle, first, end, kPiecesPerHandle));
        EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
        touch(*record, true);
        states.changed(ino, handle.sequence(), true);
        handle.commit();
    }
    return {};
}

Result<> Volume::fallocate(Ino ino, FallocateMode mode, uint64_t offset, uint64_t length,
                           bool keep_size) {
    VolumeImpl& v = *impl_;
    if (length == 0) return fail(EINVAL);
    if (length > kMaxFileBytes || offset > kMaxFileBytes - length) return fail(EFBIG);
    const uint64_t end = offset + length;
    auto data_lock = v.states.data_lock(ino);
    std::unique_lock lock(data_lock->mutex);
    uint64_t size;
    {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.writable_file(ino));
        size = ref->size;
    }
    if (mode == FallocateMode::kAllocate) {
        // Refuse at once what cannot fit, rather than fill the volume and fail.
        if (length / kBlockBytes > v.superblock.size_blocks) return fail(ENOSPC);
        if (end > size && !keep_size) EXO_TRY(v.zero_stale_tail(ino));
        EXO_TRY(v.allocate_range(ino, offset / kBlockBytes, round_up(end) / kBlockBytes));
    } else {
        const uint64_t whole_first = round_up(offset), whole_end = round_down(end);
        if (mode == FallocateMode::kZeroRange && end > size && !keep_size)
            EXO_TRY(v.zero_stale_tail(ino));
        if (whole_first > whole_end) {
            EXO_TRY(v.zero_within_block(ino, offset, end));
        } else {
            if (offset < whole_first) EXO_TRY(v.zero_within_block(ino, offset, whole_first));
            if (end > whole_end) EXO_TRY(v.zero_within_block(ino, whole_end, end));
            EXO_TRY(v.with_space([&] {
                return v.punch_range(ino, whole_first / kBlockBytes, whole_end / kBlockBytes);
            }));
        }
        if (mode == FallocateMode::kZeroRange)
            EXO_TRY(v.allocate_range(ino, offset / kBlockBytes, round_up(end) / kBlockBytes));
    }
    return v.with_space([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, v.journal->begin());
        EXO_TRY_ASSIGN(InodeRecord * record, v.inodes->modify(handle, ino));
        if (mode != FallocateMode::kPunchHole && !keep_size && end > size) record->size = end;
        touch(*record, true);
        v.states.changed(ino, handle.sequence(), true);
        handle.commit();
        return {};
    });
}

Result<uint64_t> Volume::seek(Ino ino, uint64_t offset, int whence) {
    VolumeImpl& v = *impl_;
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return fail(EINVAL);
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
}

}  // namespace exo
