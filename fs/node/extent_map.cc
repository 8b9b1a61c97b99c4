// SPDX-License-Identifier: MIT
#include "fs/node/extent_map.h"

#include <algorithm>
#include <cstring>

namespace exo {

namespace {
auto encode(const Segment& segment) {
    ExtentValue value;
    value.disk_block = segment.disk;
    value.length_blocks = uint32_t(segment.count);
    value.flags = segment.unwritten ? kExtentUnwritten : 0;
    return value;
}
}  // namespace

Result<Segment> ExtentMap::decode(uint64_t key, std::span<const std::byte> bytes) const {
    ExtentValue value;
    if (bytes.size() == sizeof value) {
        memcpy(&value, bytes.data(), sizeof value);
        const uint64_t disk = value.disk_block, length = value.length_blocks;
        if (length > 0 && length <= kMaxExtentBlocks && key < kMaxFileBlocks &&
            length <= kMaxFileBlocks - key && disk > kSystemPlace &&
            disk < core_.superblock.size_blocks && length <= core_.superblock.size_blocks - disk &&
            (value.flags & ~kExtentUnwritten) == 0)
            return Segment{key, length, disk, (value.flags & kExtentUnwritten) != 0};
    }
    return fail(EUCLEAN, "an extent of inode " + std::to_string(ino_) + " at file block " +
                             std::to_string(key) + " is malformed: run fsck.exo");
}

Result<> ExtentMap::for_each(uint64_t from,
                             const std::function<bool(const Segment&)>& visit) const {
    Result<> outcome;
    EXO_TRY(tree_.scan(from, [&](uint64_t key, std::span<const std::byte> value) {
        auto segment = decode(key, value);
        if (!segment) {
            outcome = std::unexpected(segment.error());
            return false;
        }
        return visit(*segment);
    }));
    return outcome;
}

Result<Segment> ExtentMap::extent_before(uint64_t end) const {
    Tree::Record record;
    if (end == 0) return Segment{};
    EXO_TRY_ASSIGN(const bool found, tree_.floor(end - 1, record));
    if (!found) return Segment{};
    return decode(record.key, record.value());
}

Result<Segment> ExtentMap::extent_from(uint64_t block) const {
    EXO_TRY_ASSIGN(Segment before, extent_before(block + 1));
    if (before.count > 0 && before.file_block + before.count > block) return before;
    Segment found{};
    EXO_TRY(for_each(block, [&](const Segment& segment) {
        found = segment;
        return false;
    }));
    return found;
}

Result<std::vector<Segment>> ExtentMap::map(uint64_t first, uint64_t count,
                                            size_t max_segments) const {
    std::vector<Segment> segments;
    uint64_t at = first;
    const uint64_t end = first + count;
    bool overlap = false;
    auto take = [&](const Segment& extent) {
        if (extent.file_block >= end || segments.size() >= max_segments) return false;
        if (extent.file_block > at) {
            segments.push_back({at, extent.file_block - at, 0, false});
            at = extent.file_block;
        }
        const uint64_t skip = at - extent.file_block;
        if (skip >= extent.count || (skip > 0 && at != first)) {
            overlap = true;
            return false;
        }
        const uint64_t length = std::min(extent.count - skip, end - at);
        if (segments.size() < max_segments)
            segments.push_back({at, length, extent.disk + skip, extent.unwritten});
        at += length;
        return at < end;
    };
    EXO_TRY_ASSIGN(Segment before, extent_before(first + 1));
    bool more = true;
    if (before.count > 0 && before.file_block + before.count > first) more = take(before);
    if (more && at < end && before.file_block + before.count < end)
        EXO_TRY(for_each(std::max(at, first + 1), take));
    else if (more && at < end)
        overlap = true;
    if (overlap)
        return fail(EUCLEAN, "extents of inode " + std::to_string(ino_) + " overlap: run fsck.exo");
    if (at < end && segments.size() < max_segments) segments.push_back({at, end - at, 0, false});
    return segments;
}

Result<> ExtentMap::put(Handle& handle, const Segment& segment) {
    const ExtentValue value = encode(segment);
    return tree_.insert(handle, segment.file_block, std::as_bytes(std::span(&value, 1)));
}

Result<> ExtentMap::insert(Handle& handle, uint64_t first, BlockRun run, bool unwritten) {
    Segment fresh{first, run.count, run.start, unwritten};
    auto touches = [&](const Segment& a, const Segment& b) {
        return a.count > 0 && b.count > 0 && a.file_block + a.count == b.file_block &&
               a.disk + a.count == b.disk && a.unwritten == b.unwritten &&
               a.count + b.count <= kMaxExtentBlocks;
    };
    EXO_TRY_ASSIGN(const Segment before, extent_before(first));
    if (before.count > 0 && before.file_block + before.count > first)
        return fail(EUCLEAN, "extents of inode " + std::to_string(ino_) + " overlap: run fsck.exo");
    EXO_TRY_ASSIGN(const Segment after, extent_from(first + run.count));
    if (after.file_block == first + run.count && touches(fresh, after)) {
        EXO_TRY(tree_.erase(handle, after.file_block));
        fresh.count += after.count;
    }
    if (touches(before, fresh)) {
        Segment longer = before;
        longer.count += fresh.count;
        const ExtentValue value = encode(longer);
        EXO_TRY(tree_.overwrite(handle, longer.file_block, std::as_bytes(std::span(&value, 1))));
    } else {
        EXO_TRY(put(handle, fresh));
    }
    return {};
}

Result<uint64_t> ExtentMap::remove(Handle& handle, uint64_t first, uint64_t end,
                                   unsigned max_pieces) {
    for (unsigned piece = 0; piece < max_pieces; piece++) {
        EXO_TRY_ASSIGN(const Segment extent, extent_before(end));
        const uint64_t extent_end = extent.file_block + extent.count;
        if (extent.count == 0 || extent_end <= first) return first;
        const uint64_t from = std::max(first, extent.file_block), to = std::min(end, extent_end);
        if (from == extent.file_block) {
            EXO_TRY(tree_.erase(handle, extent.file_block));
        } else {
            Segment head = extent;
            head.count = from - extent.file_block;
            const ExtentValue value = encode(head);
            EXO_TRY(tree_.overwrite(handle, head.file_block, std::as_bytes(std::span(&value, 1))));
        }
        if (to < extent_end)
            EXO_TRY(put(handle, {to, extent_end - to, extent.disk + (to - extent.file_block),
                                 extent.unwritten}));
        EXO_TRY(core_.allocator.free(handle, {extent.disk + (from - extent.file_block), to - from},
                                     false));
        EXO_TRY_ASSIGN(InodeRecord * record, inodes_.modify(handle, ino_));
        record->blocks = record->blocks - (to - from);
        end = from;
        if (end == first) return first;
    }
    return end;
}

Result<> ExtentMap::set_state(Handle& handle, uint64_t first, uint64_t count, bool unwritten) {
    EXO_TRY_ASSIGN(const Segment extent, extent_before(first + 1));
    const uint64_t extent_end = extent.file_block + extent.count, end = first + count;
    if (extent.count == 0 || extent_end < end || extent.unwritten == unwritten)
        return fail(EUCLEAN, "extents of inode " + std::to_string(ino_) +
                                 " changed under a write: run fsck.exo");
    const BlockNo disk = extent.disk + (first - extent.file_block);
    if (first == extent.file_block) {
        EXO_TRY(tree_.erase(handle, extent.file_block));
    } else {
        Segment head = extent;
        head.count = first - extent.file_block;
        const ExtentValue value = encode(head);
        EXO_TRY(tree_.overwrite(handle, head.file_block, std::as_bytes(std::span(&value, 1))));
    }
    if (end < extent_end)
        EXO_TRY(put(handle, {end, extent_end - end, disk + count, extent.unwritten}));
    return insert(handle, first, {disk, count}, unwritten);
}

}  // namespace exo
