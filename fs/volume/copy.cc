// SPDX-License-Identifier: MIT
// Copies a range of a file into another, through memory, holes as holes.
#include <algorithm>

#include "fs/volume/impl.h"

namespace exo {

namespace {
constexpr size_t kPieceBytes = 1u << 20;

// Makes [offset, offset + length) of the target read as zeros, and at least as long.
Result<> copy_hole(VolumeImpl& v, Ino target, uint64_t offset, uint64_t length) {
    const uint64_t end = offset + length;
    auto data_lock = v.states.data_lock(target);
    std::unique_lock lock(data_lock.mutex());
    EXO_TRY_ASSIGN(const uint64_t size, v.writable_size(target));
    if (offset < size)
        EXO_TRY(v.fallocate_locked(target, FallocateMode::kPunchHole, offset, end, true));
    return end > size ? v.truncate_locked(target, end) : Result<>();
}
}  // namespace

Result<uint64_t> Volume::copy_range(Ino source, uint64_t source_offset, Ino target,
                                    uint64_t target_offset, uint64_t length) {
    VolumeImpl& v = *impl_;
    if (source_offset > kMaxFileBytes) return 0;
    length = std::min({length, kMaxCopyBytes, kMaxFileBytes - source_offset});
    if (target_offset > kMaxFileBytes - length) return fail(EFBIG);
    if (source == target && source_offset < target_offset + length &&
        target_offset < source_offset + length)
        return fail(EINVAL);
    EXO_TRY_ASSIGN(const uint64_t size, v.look([&]() -> Result<uint64_t> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(source));
        if (S_ISDIR(ref->mode)) return fail(EISDIR);
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        EXO_TRY(v.writable_file(target));
        return uint64_t(ref->size);
    }));
    if (source_offset >= size) return 0;
    length = std::min(length, size - source_offset);
    const AlignedBuffer buffer = allocate_aligned(kPieceBytes);
    // An error after a part was copied is told by the next call.
    auto copied_or = [](uint64_t copied, Error error) -> Result<uint64_t> {
        if (copied > 0) return copied;
        return std::unexpected(std::move(error));
    };
    for (uint64_t done = 0; done < length;) {
        const uint64_t from = source_offset + done, to = target_offset + done;
        auto data = seek(source, from, SEEK_DATA);
        if (!data && data.error().code != ENXIO) return copied_or(done, data.error());
        const uint64_t hole =
            std::min(data ? *data : source_offset + length, source_offset + length) - from;
        if (hole > 0) {
            if (auto put = copy_hole(v, target, to, hole); !put)
                return copied_or(done, put.error());
            done += hole;
            continue;
        }
        auto hole_at = seek(source, from, SEEK_HOLE);
        if (!hole_at) return copied_or(done, hole_at.error());
        const uint64_t want = std::min({length - done, *hole_at - from, uint64_t(kPieceBytes)});
        const auto got = read(source, from, {buffer.get(), want});
        if (!got) return copied_or(done, got.error());
        if (*got == 0) return done;  // truncated meanwhile
        const auto put = write(target, to, {buffer.get(), *got});
        if (!put) return copied_or(done, put.error());
        done += *got;
    }
    return length;
}

}  // namespace exo
