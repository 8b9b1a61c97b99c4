// SPDX-License-Identifier: MIT
// Where files are on the device, and where they should go.
#include "fs/volume/impl.h"

namespace exo {

Result<std::vector<FileExtent>> Volume::extents_of(Ino ino, uint64_t offset, size_t max_extents) {
    VolumeImpl& v = *impl_;
    return v.look([&]() -> Result<std::vector<FileExtent>> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        std::vector<FileExtent> extents;
        if (!S_ISREG(ref->mode) || offset / kBlockBytes >= kMaxFileBlocks || max_extents == 0)
            return extents;
        const ExtentMap map = v.extents(ino);
        auto add = [&](const Segment& s) {
            extents.push_back({s.file_block * kBlockBytes, s.disk * kBlockBytes,
                               s.count * kBlockBytes, s.unwritten});
            return extents.size() < max_extents;
        };
        EXO_TRY_ASSIGN(const Segment first, map.extent_from(offset / kBlockBytes));
        if (first.count > 0 && add(first)) EXO_TRY(map.for_each(first.file_block + 1, add));
        return extents;
    });
}

uint64_t Volume::extent_count(Ino ino) {
    VolumeImpl& v = *impl_;
    const auto count = v.look([&]() -> Result<uint64_t> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        uint64_t extents = 0;
        if (!S_ISREG(ref->mode)) return extents;
        EXO_TRY(v.extents(ino).for_each(0, [&](const Segment&) {
            extents++;
            return true;
        }));
        return extents;
    });
    return count.value_or(0);
}

Result<> Volume::set_placement(Ino ino, uint64_t disk_offset) {
    VolumeImpl& v = *impl_;
    if (disk_offset / kBlockBytes >= v.superblock.size_blocks)
        return fail(EINVAL, "the placement " + std::to_string(disk_offset) +
                                " is outside of the volume; give a byte offset below " +
                                std::to_string(v.superblock.size_blocks * kBlockBytes));
    return v.look([&]() -> Result<> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(ino));
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        v.states.place(ino, disk_offset / kBlockBytes);
        return {};
    });
}

Result<> Volume::set_placement_near(Ino ino, Ino other) {
    VolumeImpl& v = *impl_;
    EXO_TRY_ASSIGN(const BlockNo goal, v.look([&]() -> Result<BlockNo> {
        auto reader = v.journal->reader();
        EXO_TRY_ASSIGN(const InodeTable::Ref ref, v.inodes->read(other));
        if (!S_ISREG(ref->mode)) return fail(EINVAL);
        EXO_TRY_ASSIGN(const Segment last, v.extents(other).extent_before(kMaxFileBlocks));
        return last.count > 0 ? last.disk + last.count : 0;
    }));
    return set_placement(ino, goal * kBlockBytes);
}

}  // namespace exo
