// SPDX-License-Identifier: MIT
// Checks of single blocks: header, checksum and the inner structure by type.
#include <cstdio>
#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/format/inode.h"
#include "fs/format/journal_format.h"
#include "fs/format/superblock.h"

namespace exo {

namespace {

uint32_t checksum(const Page& page) {
    static constexpr uint8_t kZero[4] = {};
    constexpr size_t kAt = offsetof(BlockHeader, crc);
    uint32_t crc = crc32c(page.bytes, kAt);
    crc = crc32c(kZero, sizeof kZero, crc);
    return crc32c(page.bytes + kAt + 4, kBlockBytes - kAt - 4, crc);
}

std::unexpected<Error> damaged(BlockType type, BlockNo address, const char* what) {
    char text[160];
    snprintf(text, sizeof text, "the %s block %llu is damaged (%s): run fsck.exo",
             block_type_name(type), static_cast<unsigned long long>(address), what);
    return fail(EUCLEAN, text);
}

}  // namespace

const char* block_type_name(BlockType type) {
    switch (type) {
        case BlockType::kSuperblock:
            return "superblock";
        case BlockType::kBitmap:
            return "bitmap";
        case BlockType::kSystem:
            return "system inode";
        case BlockType::kInodes:
            return "inode";
        case BlockType::kInodeBitmap:
            return "inode bitmap";
        case BlockType::kTreeNode:
            return "tree";
        case BlockType::kJournalSuper:
            return "journal header";
        case BlockType::kJournalDescriptor:
            return "journal descriptor";
        case BlockType::kJournalCommit:
            return "journal commit";
    }
    return "unknown";
}

void init_block(Page& page, BlockNo address, BlockType type, uint64_t owner, uint32_t volume_tag) {
    auto* header = page.as<BlockHeader>();
    header->magic = kBlockMagic;
    header->crc = 0;
    header->address = address;
    header->owner = owner;
    header->type = uint16_t(type);
    header->reserved = 0;
    header->volume_tag = volume_tag;
}

void seal_block(Page& page) {
    page.as<BlockHeader>()->crc = checksum(page);
}

Result<> check_header(const Page& page, BlockNo address, BlockType type, uint64_t owner,
                      uint32_t volume_tag) {
    const auto* header = page.as<BlockHeader>();
    if (header->magic != kBlockMagic) return damaged(type, address, "no exo block is there");
    if (header->crc != checksum(page)) return damaged(type, address, "checksum");
    if (header->address != address) return damaged(type, address, "it belongs to another address");
    if (header->volume_tag != volume_tag)
        return damaged(type, address, "it belongs to another file system");
    if (header->type != uint16_t(type) || header->reserved != 0)
        return damaged(type, address, "it is of another type");
    if (header->owner != owner) return damaged(type, address, "it belongs to another inode");
    return {};
}

Result<> check_block(const Page& page, BlockNo address, BlockType type, uint64_t owner,
                     uint32_t volume_tag) {
    EXO_TRY(check_header(page, address, type, owner, volume_tag));
    switch (type) {
        case BlockType::kTreeNode:
            if (!TreeNodeView::valid(page.as<TreeBlock>()->area, kBodyBytes))
                return damaged(type, address, "malformed node");
            break;
        case BlockType::kSystem:
        case BlockType::kInodes:
            for (const InodeRecord& record : page.as<InodeBlock>()->records)
                if (!inode_record_valid(record))
                    return damaged(type, address, "malformed inode record");
            break;
        case BlockType::kJournalDescriptor: {
            const auto* descriptor = page.as<JournalDescriptor>();
            if (descriptor->count == 0 || descriptor->count > kTagsPerDescriptor)
                return damaged(type, address, "malformed descriptor");
            break;
        }
        default:
            break;
    }
    return {};
}

bool file_type_known(uint32_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
        case S_IFDIR:
        case S_IFLNK:
        case S_IFCHR:
        case S_IFBLK:
        case S_IFIFO:
        case S_IFSOCK:
            return true;
        default:
            return false;
    }
}

bool inode_record_valid(const InodeRecord& record) {
    if (record.mode == 0) return true;
    if (record.generation == 0) return false;
    if (!file_type_known(record.mode)) return false;
    if ((record.mode & ~uint32_t(S_IFMT | 07777)) != 0) return false;
    if ((record.flags & ~kInodeKnownFlags) != 0) return false;
    if (record.atime_ns >= 1000000000 || record.mtime_ns >= 1000000000 ||
        record.ctime_ns >= 1000000000 || record.btime_ns >= 1000000000)
        return false;
    if (S_ISREG(record.mode) && record.size > kMaxFileBytes) return false;
    return TreeNodeView::valid(record.data_root, kDataRootBytes) &&
           TreeNodeView::valid(record.xattr_root, kXattrRootBytes);
}

uint32_t volume_tag_of(const uint8_t uuid[16]) {
    return crc32c(uuid, 16);
}

// The journal must lie within one group, off the places that are fixed.
static bool journal_in_the_way(const Superblock& sb) {
    const BlockNo start = sb.journal_start, last = start + sb.journal_blocks - 1;
    if (group_of(start) != group_of(last) || is_bitmap_place(start)) return true;
    for (BlockNo place : backup_places(sb.size_blocks))
        if (place >= start && place <= last) return true;
    return false;
}

Result<> check_superblock(const Page& page, BlockNo address, uint64_t device_blocks,
                          const std::string& device_name) {
    const auto* sb = page.as<Superblock>();
    if (memcmp(sb->magic, kSuperblockMagic, sizeof sb->magic) != 0)
        return fail(EMEDIUMTYPE, device_name +
                                     ": not an exo file system; make one with mkfs.exo, or check "
                                     "the device name");
    if (sb->header.magic != kBlockMagic || sb->header.crc != checksum(page) ||
        sb->header.address != address || sb->header.type != uint16_t(BlockType::kSuperblock) ||
        sb->header.volume_tag != volume_tag_of(sb->uuid))
        return fail(EUCLEAN, device_name + ": the superblock at block " + std::to_string(address) +
                                 " is damaged (checksum)");
    char text[200];
    if ((sb->incompat & ~kKnownIncompat) != 0 || sb->version != kFormatVersion) {
        snprintf(text, sizeof text,
                 ": needs features this version of exo does not know (version %u, incompat "
                 "0x%llx): use a newer exo",
                 unsigned(sb->version),
                 static_cast<unsigned long long>(sb->incompat & ~kKnownIncompat));
        return fail(EOPNOTSUPP, device_name + text);
    }
    const uint64_t size = sb->size_blocks, journal = sb->journal_start,
                   journal_blocks = sb->journal_blocks;
    if (sb->block_bytes != kBlockBytes || sb->group_blocks != kGroupBlocks ||
        sb->inode_bytes != sizeof(InodeRecord) || size < kMinVolumeBlocks ||
        size > kMaxVolumeBlocks || journal_blocks < kMinJournalBlocks ||
        journal_blocks > kMaxJournalBlocks || journal <= kSystemPlace || journal >= size ||
        journal_blocks > size - journal || sb->system_block != kSystemPlace ||
        journal_in_the_way(*sb))
        return fail(EUCLEAN, device_name + ": the superblock at block " + std::to_string(address) +
                                 " makes no sense although its checksum is right");
    if (size > device_blocks) {
        snprintf(text, sizeof text,
                 ": the file system has %llu blocks but the device only %llu: it was cut short, or "
                 "this is the wrong device",
                 static_cast<unsigned long long>(size),
                 static_cast<unsigned long long>(device_blocks));
        return fail(EUCLEAN, device_name + text);
    }
    return {};
}

bool bits_all(const uint8_t* bits, uint64_t first, uint64_t count, bool set) {
    return bits_find(bits, first, first + count, !set) == first + count;
}

void bits_fill(uint8_t* bits, uint64_t first, uint64_t count, bool set) {
    uint64_t i = first;
    const uint64_t end = first + count;
    auto one = [&] {
        const auto mask = uint8_t(1u << (i % 8));
        bits[i / 8] = set ? uint8_t(bits[i / 8] | mask) : uint8_t(bits[i / 8] & ~mask);
        i++;
    };
    while (i < end && i % 8 != 0) one();
    if (end - i >= 8) {
        memset(bits + i / 8, set ? 0xff : 0, (end - i) / 8);
        i += (end - i) / 8 * 8;
    }
    while (i < end) one();
}

uint64_t bits_find(const uint8_t* bits, uint64_t from, uint64_t end, bool set) {
    uint64_t i = from;
    const uint64_t skip64 = set ? 0 : ~0ull;
    while (i < end) {
        if (i % 8 == 0) {
            uint64_t word;
            while (i + 64 <= end && (memcpy(&word, bits + i / 8, 8), word == skip64)) i += 64;
            while (i + 8 <= end && bits[i / 8] == uint8_t(skip64)) i += 8;
            if (i >= end) break;
        }
        if (bit_test(bits, i) == set) return i;
        i++;
    }
    return end;
}

}  // namespace exo
