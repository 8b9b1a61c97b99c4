// SPDX-License-Identifier: MIT
// Pass 1: finds a superblock to work with and compares the copies.
#include <cstring>

#include "fs/fsck/check.h"
#include "fs/volume/superblock_io.h"

namespace exo::fsck {

namespace {

// Another program may have put something else where an exo file system was.
constexpr const char* kForeign =
    "block 0 holds no exo file system, but a backup superblock is at "
    "block ";

Result<Superblock> read_copy(BlockDevice& device, BlockNo place) {
    MutablePageRef page = allocate_page();
    EXO_TRY(device.read(place * kBlockBytes, page->bytes, kBlockBytes));
    EXO_TRY(check_superblock(*page, place, device.size_bytes() / kBlockBytes, device.name()));
    return *page->as<Superblock>();
}

// What a backup says of a volume: what only the primary knows is as mkfs left it.
Superblock as_backup(Superblock sb) {
    sb.state = kStateClean;
    sb.mount_count = 0;
    sb.mounted_s = 0;
    sb.written_s = 0;
    return sb;
}

bool same_volume(const Superblock& a, const Superblock& b) {
    const Superblock x = as_backup(a), y = as_backup(b);
    constexpr size_t kHeader = sizeof(BlockHeader);
    return memcmp(reinterpret_cast<const char*>(&x) + kHeader,
                  reinterpret_cast<const char*>(&y) + kHeader, sizeof x - kHeader) == 0;
}

Result<> find_superblock(Check& c) {
    const uint64_t blocks = c.device.size_bytes() / kBlockBytes;
    if (blocks < kMinVolumeBlocks)
        return fail(EMEDIUMTYPE, c.device.name() +
                                     ": too small to hold an exo file system (at least 16 MiB): "
                                     "check the device name");
    auto primary = read_copy(c.device, kSuperblockPlace);
    if (primary && c.options.backup == 0) {
        c.sb = *primary;
        return {};
    }
    if (!primary && primary.error().code == EOPNOTSUPP) return std::unexpected(primary.error());
    std::vector<BlockNo> places = backup_places(blocks);
    if (c.options.backup != 0) {
        if (c.options.backup >= blocks)
            return fail(EINVAL, c.device.name() + ": there is no block " +
                                    std::to_string(c.options.backup));
        places = {c.options.backup};
    }
    for (BlockNo place : places) {
        auto copy = read_copy(c.device, place);
        if (!copy) {
            if (c.options.backup != 0) return std::unexpected(copy.error());
            continue;
        }
        c.sb = *copy;
        if (primary) return {};  // it was asked for
        const bool foreign = primary.error().code == EMEDIUMTYPE;
        const bool agreed =
            foreign ? c.problems.found(Damage::kNoSuperblock, kForeign + std::to_string(place))
                    : c.problems.found(Damage::kSuperblock,
                                       "the primary superblock is damaged; the backup at block " +
                                           std::to_string(place) + " is intact");
        if (!agreed) return fail(primary.error().code, describe(primary.error()));
        // Whether it was unmounted is not known.
        c.sb.state = c.sb.state | kStateMounted;
        return {};
    }
    return fail(primary.error().code,
                describe(primary.error()) + "; no backup superblock was found either");
}

}  // namespace

Result<> check_superblocks(Check& c) {
    EXO_TRY(find_superblock(c));
    if ((c.sb.ro_compat & ~kKnownRoCompat) != 0 && c.writable)
        return fail(EOPNOTSUPP, c.device.name() +
                                    ": has features that this version of exo cannot write: use "
                                    "a newer exo, or only check (-n)");
    c.sb.header.volume_tag = volume_tag_of(c.sb.uuid);
    for (BlockNo place : backup_places(c.sb.size_blocks)) {
        auto copy = read_copy(c.device, place);
        if (!copy)
            (void)c.problems.found(Damage::kBackup,
                                   "the backup superblock at block " + std::to_string(place) +
                                       " is not usable: " + describe(copy.error()));
        else if (!same_volume(*copy, c.sb))
            (void)c.problems.found(Damage::kBackup, "the backup superblock at block " +
                                                        std::to_string(place) +
                                                        " differs from the one in use");
    }
    return {};
}

Result<> store_superblocks(Check& c) {
    for (BlockNo place : backup_places(c.sb.size_blocks)) {
        auto copy = read_copy(c.device, place);
        if (!copy || !same_volume(*copy, c.sb))
            EXO_TRY(store_superblock(c.device, as_backup(c.sb), place));
    }
    if (c.problems.declined() == 0) c.sb.state = c.sb.state & ~(kStateMounted | kStateError);
    EXO_TRY(store_superblock(c.device, c.sb, kSuperblockPlace));
    return c.device.flush();
}

}  // namespace exo::fsck
