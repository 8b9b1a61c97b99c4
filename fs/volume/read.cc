// SPDX-License-Identifier: MIT
// Reading file data, straight from the device, outside of the journal's locks. And access times.
#include <algorithm>
#include <cstring>

#include "fs/volume/impl.h"
#include "fs/volume/io_list.h"

namespace exo {

namespace {
constexpr int64_t kDaySeconds = 24 * 60 * 60;

std::pair<int64_t, uint32_t> when(les64 seconds, le32 nanoseconds) {
    return {seconds, nanoseconds};
}
}  // namespace

bool VolumeImpl::atime_due(const InodeRecord& record) const {
    if (read_only || options.atime == AtimeMode::kNever) return false;
    const timespec now = current_time();
    const auto atime = when(record.atime_s, record.atime_ns);
    if (atime == std::pair(int64_t(now.tv_sec), uint32_t(now.tv_nsec))) return false;
    return options.atime == AtimeMode::kStrict || atime <= when(record.mtime_s, record.mtime_ns) ||
           atime <= when(record.ctime_s, record.ctime_ns) ||
           now.tv_sec - atime.first >= kDaySeconds;
}

// Nobody waits for it, and nobody is told when it fails: the next read tries again.
void VolumeImpl::set_atime(Ino ino) {
    (void)look([&]() -> Result<> {
        EXO_TRY_ASSIGN(Handle handle, journal->try_begin());
        EXO_TRY_ASSIGN(InodeRecord * record, inodes->modify(handle, ino));
        const timespec now = current_time();
        record->atime_s = now.tv_sec;
        record->atime_ns = uint32_t(now.tv_nsec);
        states.changed(ino, handle.sequence(), false);
        handle.commit();
        return {};
    });
}

Result<size_t> Volume::read(Ino ino, uint64_t offset, std::span<std::byte> buffer) {
    VolumeImpl& v = *impl_;
    auto data_lock = v.states.data_lock(ino);
    std::shared_lock lock(data_lock.mutex());
    struct Plan {
        uint64_t end = 0;  // 0: nothing to read
        std::vector<Segment> segments;
        bool atime_due = false;
    };
    EXO_TRY_ASSIGN(const Plan plan, v.look([&]() -> Result<Plan> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (S_ISDIR(ref->mode)) return fail(EISDIR);
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        const uint64_t size = ref->size;
        if (offset >= size || buffer.empty()) return Plan();
        Plan found;
        found.end = offset + std::min<uint64_t>(buffer.size(), size - offset);
        found.atime_due = v.atime_due(*ref.record);
        const uint64_t first = offset / kBlockBytes;
        EXO_TRY_ASSIGN(found.segments,
                       v.extents(ino).map(first, round_up(found.end) / kBlockBytes - first));
        return found;
    }));
    const uint64_t end = plan.end;
    if (end == 0) return 0;
    // At most the first and the last block of the range are read through pages of our own.
    struct Bounce {
        MutablePageRef page;
        size_t from, length;
        std::byte* target;
    };
    std::vector<Bounce> bounces;
    IoList list(IoKind::kRead);
    for (const Segment& segment : plan.segments) {
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
    lock.unlock();
    if (plan.atime_due) v.set_atime(ino);
    return end - offset;
}

}  // namespace exo
