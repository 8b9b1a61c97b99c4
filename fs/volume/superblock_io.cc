// SPDX-License-Identifier: MIT
#include "fs/volume/superblock_io.h"

#include <cstring>

namespace exo {

Result<LoadedSuperblock> load_superblock(BlockDevice& device) {
    const uint64_t blocks = device.size_bytes() / kBlockBytes;
    if (blocks < kMinVolumeBlocks)
        return fail(EMEDIUMTYPE, device.name() +
                                     ": too small to hold an exo file system (at least 16 MiB): "
                                     "check the device name");
    MutablePageRef page = allocate_page();
    Result<> primary = device.read(0, page->bytes, kBlockBytes);
    if (primary) primary = check_superblock(*page, 0, blocks, device.name());
    if (primary) return LoadedSuperblock{*page->as<Superblock>()};
    if (primary.error().code != EUCLEAN && primary.error().code != EMEDIUMTYPE &&
        primary.error().code != EIO)
        return std::unexpected(primary.error());
    for (BlockNo place : backup_places(blocks)) {
        if (!device.read(place * kBlockBytes, page->bytes, kBlockBytes)) continue;
        if (!check_superblock(*page, place, blocks, device.name())) continue;
        // Where the start is something else altogether, it may have been overwritten on purpose.
        if (primary.error().code == EMEDIUMTYPE)
            return fail(EMEDIUMTYPE, primary.error().message +
                                         " (a backup superblock of a former or damaged "
                                         "exo file system is at block " +
                                         std::to_string(place) + ": fsck.exo can restore it)");
        return LoadedSuperblock{*page->as<Superblock>(), true, place};
    }
    if (primary.error().code == EUCLEAN)
        return fail(EUCLEAN, primary.error().message +
                                 ", and no backup superblock is intact: restore the volume from a "
                                 "copy");
    return std::unexpected(primary.error());
}

Result<> store_superblock(BlockDevice& device, const Superblock& superblock, BlockNo address) {
    MutablePageRef page = allocate_zero_page();
    memcpy(page->bytes, &superblock, sizeof superblock);
    init_block(*page, address, BlockType::kSuperblock, 0, volume_tag_of(superblock.uuid));
    seal_block(*page);
    return device.write(address * kBlockBytes, page->bytes, kBlockBytes, IoKind::kWriteThrough);
}

}  // namespace exo
