// SPDX-License-Identifier: MIT
#include "tests/fuzz/image_input.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "fs/base/crc32c.h"
#include "fs/format/inode.h"
#include "fs/format/journal_format.h"
#include "fs/format/superblock.h"
#include "tests/fuzz/base_images.h"

namespace exo::fuzz {

namespace {

using test::MemoryDevice;

class Patcher {
  public:
    explicit Patcher(const BaseImage& base) : base_(base), device_(base.device) {}

    MemoryDevice apply(const std::vector<Patch>& patches) {
        for (const Patch& patch : patches) {
            const BlockNo block = base_.blocks[patch.block % base_.blocks.size()];
            const size_t offset = patch.offset % kBlockBytes;
            const size_t length = std::min(patch.bytes.size(), kBlockBytes - offset);
            device_.poke(block * kBlockBytes + offset, patch.bytes.data(), length);
            if (patch.leave_checksum)
                left_.insert(block);
            else
                sealed_.insert(block);
        }
        for (BlockNo block : sealed_)
            if (!left_.contains(block)) seal(block);
        if (!sealed_.empty() && *sealed_.rbegin() > base_.journal_start) seal_log();
        return device_;
    }

  private:
    MutablePageRef get(BlockNo block) {
        MutablePageRef page = allocate_page();
        device_.peek(block * kBlockBytes, page->bytes, kBlockBytes);
        return page;
    }
    void put(BlockNo block, Page& page) {
        seal_block(page);
        device_.poke(block * kBlockBytes, page.bytes, kBlockBytes);
    }
    void seal(BlockNo block) {
        auto page = get(block);
        auto* header = page->as<BlockHeader>();
        if (header->type == uint16_t(BlockType::kSuperblock))
            header->volume_tag = volume_tag_of(page->as<Superblock>()->uuid);
        put(block, *page);
    }
    // Tags and commits carry checksums of their own. Follows the ring as the base has it.
    void seal_log() {
        uint32_t crc = 0;
        const BlockNo end = base_.journal_start + base_.journal_blocks;
        for (BlockNo at = base_.journal_start + 1; at < end;) {
            auto page = get(at);
            const auto* header = page->as<BlockHeader>();
            if (header->magic != kBlockMagic) return;
            if (header->type == uint16_t(BlockType::kJournalDescriptor)) {
                auto* descriptor = page->as<JournalDescriptor>();
                const unsigned count = std::min<unsigned>(descriptor->count, kTagsPerDescriptor);
                for (unsigned i = 0; i < count && at + 1 + i < end; i++)
                    if (!left_.contains(at + 1 + i))
                        descriptor->tags[i].crc = crc32c(get(at + 1 + i)->bytes, kBlockBytes);
                put(at, *page);
                crc = crc32c(&header->crc, sizeof(le32), crc);
                at += 1 + count;
            } else if (header->type == uint16_t(BlockType::kJournalCommit)) {
                page->as<JournalCommit>()->crc = crc;
                put(at, *page);
                crc = 0;
                at++;
            } else {
                return;
            }
        }
    }

    const BaseImage& base_;
    MemoryDevice device_;
    std::set<BlockNo> sealed_, left_;
};

template <typename Range>
auto& pick(Range& range, std::minstd_rand& random) {
    return range[random() % range.size()];
}

// An offset where something is: fields of the structure that the block holds.
uint16_t interesting_offset(const Page& page, std::minstd_rand& random) {
    switch (BlockType(uint16_t(page.as<BlockHeader>()->type))) {
        case BlockType::kTreeNode: {
            const auto* area = page.as<TreeBlock>()->area;
            const unsigned count = std::max<unsigned>(TreeNodeView(area, kBodyBytes).count(), 1);
            const size_t slot = 40 + sizeof(TreeSlot) * (random() % count);
            switch (random() % 4) {
                case 0:
                    return uint16_t(32 + random() % 8);
                case 1:
                    return uint16_t(slot + random() % 12);
                default: {
                    uint16_t offset;
                    memcpy(&offset, page.bytes + slot + 8, sizeof offset);
                    return uint16_t((32 + offset + random() % 17) % kBlockBytes);
                }
            }
        }
        case BlockType::kInodes:
        case BlockType::kSystem: {
            const size_t record = 32 + sizeof(InodeRecord) * (random() % kInodesPerBlock);
            const size_t fields[] = {0, 4, 16, 20, 24, 32, 88, 96, 128, 384};
            const size_t field = fields[random() % 10];
            return uint16_t(record + field + random() % (field >= 128 ? 40 : 8));
        }
        default:
            return uint16_t(random() % 3 == 0 ? random() % kBlockBytes : 32 + random() % 200);
    }
}

std::vector<uint8_t> interesting_bytes(const BaseImage& base, std::minstd_rand& random) {
    uint64_t value;
    switch (random() % 8) {
        case 0:
            value = 0;
            break;
        case 1:
            value = ~0ull;
            break;
        case 2:
            value = 1ull << (random() % 64);
            break;
        case 3:  // another metadata block
            value = base.blocks[random() % base.blocks.size()];
            break;
        case 4:  // an inode number
            value = random() % 80;
            break;
        case 5:  // a block just anywhere
            value = random() % 4200;
            break;
        default:
            value = random() % 256;
            break;
    }
    const size_t lengths[] = {1, 2, 4, 8};
    std::vector<uint8_t> bytes(lengths[random() % 4]);
    memcpy(bytes.data(), &value, bytes.size());
    return bytes;
}

Patch fresh_patch(unsigned which, std::minstd_rand& random) {
    const BaseImage& base = base_image(which);
    Patch patch;
    patch.block = uint16_t(random() % base.blocks.size());
    MutablePageRef page = allocate_page();
    base.device.peek(base.blocks[patch.block] * kBlockBytes, page->bytes, kBlockBytes);
    patch.offset = interesting_offset(*page, random);
    patch.leave_checksum = random() % 16 == 0;
    patch.bytes = interesting_bytes(base, random);
    return patch;
}

}  // namespace

Input decode(std::span<const uint8_t> bytes) {
    Input input;
    if (bytes.size() < kHeadBytes) return input;
    input.base = bytes[0] % kBaseImages;
    input.options = bytes[1];
    size_t at = kHeadBytes;
    while (at + kPatchHeadBytes < bytes.size()) {
        Patch patch;
        memcpy(&patch.block, &bytes[at], 2);
        memcpy(&patch.offset, &bytes[at + 2], 2);
        patch.leave_checksum = (bytes[at + 4] & 0x80) != 0;
        const size_t length = std::min<size_t>((bytes[at + 4] & 0x7f) % kMaxPatchBytes + 1,
                                               bytes.size() - at - kPatchHeadBytes);
        at += kPatchHeadBytes;
        patch.bytes.assign(bytes.begin() + ptrdiff_t(at), bytes.begin() + ptrdiff_t(at + length));
        at += length;
        input.patches.push_back(std::move(patch));
    }
    return input;
}

std::vector<uint8_t> encode(const Input& input) {
    std::vector<uint8_t> bytes{input.base, input.options};
    for (const Patch& patch : input.patches) {
        if (patch.bytes.empty()) continue;
        uint8_t head[kPatchHeadBytes];
        memcpy(head, &patch.block, 2);
        memcpy(head + 2, &patch.offset, 2);
        head[4] = uint8_t((patch.bytes.size() - 1) | (patch.leave_checksum ? 0x80 : 0));
        bytes.insert(bytes.end(), head, head + sizeof head);
        bytes.insert(bytes.end(), patch.bytes.begin(), patch.bytes.end());
    }
    return bytes;
}

MemoryDevice make_image(const Input& input) {
    return Patcher(base_image(input.base)).apply(input.patches);
}

Input mutate(Input input, std::minstd_rand& random) {
    const unsigned action = unsigned(random() % 16);
    if (input.patches.empty() || action < 5) {
        input.patches.push_back(fresh_patch(input.base, random));
    } else if (action < 7) {
        input.patches.erase(input.patches.begin() + ptrdiff_t(random() % input.patches.size()));
    } else if (action < 10) {
        pick(input.patches, random).bytes = interesting_bytes(base_image(input.base), random);
    } else if (action < 12) {
        Patch& patch = pick(input.patches, random);
        patch.offset = uint16_t(patch.offset + sizeof(TreeSlot) * (random() % 5) - 24);
    } else if (action < 14) {
        auto& bytes = pick(input.patches, random).bytes;
        bytes[random() % bytes.size()] = uint8_t(random());
    } else if (action == 14) {
        input.options = uint8_t(random());
    } else {
        input.base = uint8_t(random() % kBaseImages);
    }
    return input;
}

}  // namespace exo::fuzz
