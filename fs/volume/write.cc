// SPDX-License-Identifier: MIT
// Writing file data, straight to the device, outside of the journal's locks. New blocks are
// reserved, written, and only then entered into the extents, so a crash never shows old content,
// and the journal's flush before a commit makes the data durable first.
#include <algorithm>
#include <cstring>

#include "fs/alloc/windows.h"
#include "fs/volume/impl.h"
#include "fs/volume/io_list.h"

namespace exo {

namespace {
constexpr size_t kMaxChunkBytes = 16u << 20;
}  // namespace

Result<InodeTable::Ref> VolumeImpl::writable_file(Ino ino) {
    // Once the journal has failed nothing more is written, not even in place.
    if (read_only || journal->failed()) return fail(EROFS);
    EXO_TRY_ASSIGN(InodeTable::Ref ref, inodes->read(ino));
    if (S_ISDIR(ref->mode)) return fail(EISDIR);
    if (!S_ISREG(ref->mode)) return fail(EINVAL);
    if (pinned(ino))
        return fail(EPERM, "inode " + std::to_string(ino) +
                               " is pinned and cannot be changed; unpin it first (exo unpin)");
    return ref;
}

// Where the block should go: behind the one before it, or where the user wants the file.
Result<BlockNo> VolumeImpl::goal_of(Ino ino, const ExtentMap& map, uint64_t block) {
    EXO_TRY_ASSIGN(const Segment before, map.extent_before(block));
    const bool follows = before.count > 0 && before.file_block + before.count == block;
    if (!follows) {
        if (const BlockNo wanted = states.placement(ino); wanted != 0)
            return allocator->close_to(wanted);
    }
    return before.count > 0 ? before.disk + before.count : 0;
}

// Up to `want` blocks; `aside` more that follow are kept for the file's next ones.
Result<Reservation> VolumeImpl::reserve_for(Ino ino, BlockNo goal, uint64_t want, uint64_t aside) {
    Windows& windows = allocator->windows();
    if (goal != 0) {
        if (Reservation room = windows.take(ino, goal, want); room.count() > 0) return room;
    }
    EXO_TRY_ASSIGN(Reservation room, allocator->reserve(want + aside, goal, Purpose::kData));
    if (room.count() <= want) return room;
    Reservation front = room.split_front(want);
    windows.keep(ino, std::move(room));
    return front;
}

namespace {
struct Piece {
    Segment segment;
    size_t reservation;  // index, or SIZE_MAX
};
}  // namespace

// What one handle can enter of a write.
struct VolumeImpl::WritePlan {
    std::vector<Piece> pieces;
    std::vector<Reservation> reservations;
    uint64_t old_size = 0, end = 0;
    bool tail_stale = false;
};

Result<VolumeImpl::WritePlan> VolumeImpl::plan_write(Ino ino, uint64_t offset, uint64_t end) {
    WritePlan plan;
    const uint64_t first = offset / kBlockBytes;
    auto reader = journal->reader();
    EXO_TRY_ASSIGN(const InodeTable::Ref ref, writable_file(ino));
    plan.end = end;
    plan.old_size = ref->size;
    plan.tail_stale = (ref->flags & kInodeTailStale) != 0;
    const ExtentMap map = extents(ino);
    EXO_TRY_ASSIGN(const auto segments, map.map(first, round_up(end) / kBlockBytes - first));
    BlockNo goal = 0;
    if (std::ranges::any_of(segments, &Segment::hole)) {
        EXO_TRY_ASSIGN(goal, goal_of(ino, map, first));
    }
    unsigned changes = 0;
    for (const Segment& segment : segments) {
        if (changes >= kPiecesPerHandle) break;
        if (!segment.hole()) {
            plan.pieces.push_back({segment, SIZE_MAX});
            goal = segment.disk + segment.count;
            changes += segment.unwritten;
            continue;
        }
        const bool appends = end >= plan.old_size && &segment == &segments.back();
        const uint64_t aside = appends ? Windows::size_for(ref->blocks, segment.count) : 0;
        for (uint64_t at = 0; at < segment.count && changes < kPiecesPerHandle; changes++) {
            auto room = reserve_for(ino, goal, segment.count - at, aside);
            if (!room) {
                // What was reserved so far can still be written.
                if (room.error().code == ENOSPC && !plan.pieces.empty()) return plan;
                return std::unexpected(room.error());
            }
            goal = room->start() + room->count();
            plan.pieces.push_back({{segment.file_block + at, room->count(), room->start(), false},
                                   plan.reservations.size()});
            at += room->count();
            plan.reservations.push_back(std::move(*room));
        }
    }
    return plan;
}

// Enters what was written. REQUIRES: the data is on its way to the plan's blocks
Result<> VolumeImpl::enter_write(Ino ino, const WritePlan& plan, uint64_t end) {
    EXO_TRY_ASSIGN(Handle handle, journal->begin());
    ExtentMap map = extents(ino);
    uint64_t added = 0;
    bool mapped = false;
    for (const Piece& piece : plan.pieces) {
        const Segment& segment = piece.segment;
        if (piece.reservation != SIZE_MAX) {
            const BlockRun run{segment.disk, segment.count};
            EXO_TRY(allocator->mark_used(handle, run));
            EXO_TRY(map.insert(handle, segment.file_block, run, false));
            added += run.count;
            mapped = true;
        } else if (segment.unwritten) {
            EXO_TRY(map.set_written(handle, segment.file_block, segment.count));
            mapped = true;
        }
    }
    EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
    record->blocks = record->blocks + added;
    if (end > plan.old_size) {
        record->size = end;
        record->flags = record->flags & ~kInodeTailStale;
        mapped = true;
    }
    touch(*record, true);
    states.changed(ino, handle.sequence(), mapped);
    handle.commit();
    return {};
}

// Writes a first part of the data, as much as one handle may enter. REQUIRES: the inode's lock
// exclusively, not empty
Result<size_t> VolumeImpl::write_some(Ino ino, uint64_t offset, std::span<const std::byte> data) {
    uint64_t most = offset + std::min(data.size(), kMaxChunkBytes);
    if (most < offset + data.size()) most = round_down(most);
    EXO_TRY_ASSIGN(WritePlan plan, look([&] { return plan_write(ino, offset, most); }));
    const uint64_t first = offset / kBlockBytes;
    const Segment& last_piece = plan.pieces.back().segment;
    const uint64_t end =
        std::min(plan.end, (last_piece.file_block + last_piece.count) * kBlockBytes);

    const bool extends = end > plan.old_size;
    if (plan.old_size % kBlockBytes != 0) {
        const uint64_t last = plan.old_size / kBlockBytes;
        if (extends && last < first)
            EXO_TRY(zero_stale_tail(ino));
        else if (plan.tail_stale && first <= last && end > last * kBlockBytes)
            EXO_TRY(settle_truncation(ino));  // the block is written with zeros behind the end
    }

    // A block that is written in part gets zeros beside that. Where a transaction that is not
    // durable has zeroed it, a crash would bring back the file as it was before, but with these
    // zeros.
    const bool partial = offset % kBlockBytes != 0 || end % kBlockBytes != 0;
    const bool unwritten = std::ranges::any_of(
        plan.pieces, [](const Piece& piece) { return piece.segment.unwritten; });
    if (partial && unwritten) EXO_TRY(make_durable(states.zeroed_by(ino)));

    IoList list(IoKind::kWrite);
    std::vector<MutablePageRef> bounces;
    for (const Piece& piece : plan.pieces) {
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
                if (plan.old_size < block + kBlockBytes) {
                    const uint64_t keep = plan.old_size > block ? plan.old_size - block : 0;
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

    EXO_TRY(look([&] { return enter_write(ino, plan, end); }));
    for (Reservation& reservation : plan.reservations) reservation.release();
    return end - offset;
}

// Whole blocks which are there already are written side by side. False: it is something else.
Result<bool> VolumeImpl::overwrite(Ino ino, uint64_t offset, std::span<const std::byte> data) {
    const uint64_t end = offset + data.size();
    struct Plan {
        std::vector<Segment> segments;
        bool applies = false, touched = false;
    };
    EXO_TRY_ASSIGN(
        const Plan plan, look([&]() -> Result<Plan> {
            auto reader = journal->reader();
            EXO_TRY_ASSIGN(const InodeTable::Ref ref, writable_file(ino));
            Plan found;
            if (end > ref->size) return found;
            const uint64_t first = offset / kBlockBytes;
            EXO_TRY_ASSIGN(found.segments, extents(ino).map(first, end / kBlockBytes - first));
            found.applies = std::ranges::none_of(
                found.segments, [](const Segment& s) { return s.hole() || s.unwritten; });
            found.touched = touched_now(*ref.record);
            return found;
        }));
    if (!plan.applies) return false;
    IoList list(IoKind::kWrite);
    for (const Segment& segment : plan.segments)
        list.add(segment.disk * kBlockBytes,
                 const_cast<std::byte*>(data.data() + (segment.file_block * kBlockBytes - offset)),
                 segment.count * kBlockBytes);
    EXO_TRY(list.run(*device));
    if (plan.touched) return true;
    EXO_TRY(look([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, journal->begin());
        EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
        touch(*record, true);
        states.changed(ino, handle.sequence(), false);
        handle.commit();
        return {};
    }));
    return true;
}

Result<size_t> Volume::write(Ino ino, uint64_t offset, std::span<const std::byte> data) {
    VolumeImpl& v = *impl_;
    if (data.size() > kMaxFileBytes || offset > kMaxFileBytes - data.size()) return fail(EFBIG);
    auto data_lock = v.states.data_lock(ino);
    if (data.empty()) {
        return v.look([&]() -> Result<size_t> {
            auto reader = v.journal->reader();
            EXO_TRY(v.writable_file(ino));
            return 0;
        });
    }
    if (offset % kBlockBytes == 0 && data.size() % kBlockBytes == 0) {
        std::shared_lock lock(data_lock.mutex());
        EXO_TRY_ASSIGN(const bool done, v.overwrite(ino, offset, data));
        if (done) return data.size();
    }
    std::unique_lock lock(data_lock.mutex());
    size_t done = 0;
    while (done < data.size()) {
        EXO_TRY_ASSIGN(const size_t step, v.retry_space([&] {
            return v.write_some(ino, offset + done, data.subspan(done));
        }));
        done += step;
    }
    return done;
}

}  // namespace exo
