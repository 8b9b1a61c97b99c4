// SPDX-License-Identifier: MIT
// Pass 11: which inode numbers and which blocks are in use. Both bitmaps follow from what the
// passes before have found.
#include <algorithm>
#include <bit>
#include <cstring>

#include "fs/fsck/check.h"

namespace exo::fsck {

namespace {

constexpr uint64_t kReadAhead = 64;  // bitmaps lie far apart

struct Difference {
    uint64_t count = 0, first = 0;
    void add(uint64_t number) {
        if (count++ == 0) first = number;
    }
};

Result<> check_inode_bitmap(Check& c, Ino base) {
    const BlockNo place = c.inode_file.place(inode_bitmap_index(base));
    Space::Bits expected{};
    const uint64_t stop = std::min(kInodesPerGroup, c.inode_limit() - base);
    for (uint64_t i = 0; i < stop; i++) {
        const Ino ino = base + i;
        if (c.facts(ino).type != 0 || ino < kFirstFreeIno) bits_fill(expected.data(), i, 1, true);
    }
    auto page = c.image->read(place, BlockType::kInodeBitmap, 0);
    if (!page) {
        if (!c.problems.found(Damage::kInodeBitmap, describe(page.error()))) return {};
        auto* fresh = c.image->create(place, BlockType::kInodeBitmap, 0)->as<BitmapBlock>();
        memcpy(fresh->bits, expected.data(), expected.size());
        return {};
    }
    const uint8_t* bits = (*page)->as<BitmapBlock>()->bits;
    if (memcmp(bits, expected.data(), expected.size()) == 0) return {};
    Difference used, free;
    for (uint64_t i = 0; i < kInodesPerGroup; i++) {
        const bool marked = bit_test(bits, i), in_use = bit_test(expected.data(), i);
        if (in_use && !marked) used.add(base + i);
        if (!in_use && marked) free.add(base + i);
    }
    auto more = [](const Difference& d) {
        return d.count > 1 ? " and " + std::to_string(d.count - 1) + " more" : std::string();
    };
    bool mend = true;
    if (used.count > 0)
        mend = c.problems.found(Damage::kInodeBitmap,
                                (used.first < kFirstFreeIno && used.first != kRootIno
                                     ? "reserved " + of(used.first) + more(used) + " is marked free"
                                     : of(used.first) + more(used) + " is in use but marked free"));
    if (free.count > 0)
        mend = c.problems.found(Damage::kInodeBitmap,
                                of(free.first) + more(free) + " is free but marked in use") &&
               mend;
    if (!mend) return {};
    EXO_TRY_ASSIGN(Page * edited, c.image->edit(place));
    memcpy(edited->as<BitmapBlock>()->bits, expected.data(), expected.size());
    return {};
}

uint64_t count_bits(const Space::Bits& bits) {
    uint64_t count = 0;
    for (uint8_t byte : bits) count += uint64_t(std::popcount(byte));
    return count;
}

Result<> check_block_bitmap(Check& c, uint64_t group) {
    const BlockNo place = bitmap_place(group);
    const uint64_t base = group * kGroupBlocks;
    const uint64_t past_end =
        base + kGroupBlocks > c.sb.size_blocks ? base + kGroupBlocks - c.sb.size_blocks : 0;
    Space::Bits expected = c.space->bits(group);
    auto page = c.image->read(place, BlockType::kBitmap, 0);
    if (!page) {
        if (c.problems.found(Damage::kBitmap, describe(page.error()))) {
            auto* fresh = c.image->create(place, BlockType::kBitmap, 0)->as<BitmapBlock>();
            memcpy(fresh->bits, expected.data(), expected.size());
        }
    } else {
        const uint8_t* bits = (*page)->as<BitmapBlock>()->bits;
        if (memcmp(bits, expected.data(), expected.size()) != 0) {
            Difference lost, shared;
            uint64_t open_end = 0;
            for (uint64_t i = 0; i < kGroupBlocks; i++) {
                const bool marked = bit_test(bits, i), used = bit_test(expected.data(), i);
                if (marked == used) continue;
                if (base + i >= c.sb.size_blocks)
                    open_end++;
                else if (marked)
                    lost.add(base + i);
                else
                    shared.add(base + i);
            }
            bool mend = true;
            const std::string where = " of group " + std::to_string(group);
            if (open_end > 0)
                mend = c.problems.found(
                    Damage::kBitmap, "the bitmap" + where + " marks blocks past the end as free");
            if (lost.count > 0)
                mend = c.problems.found(
                           Damage::kBitmap,
                           std::to_string(lost.count) + " blocks" + where +
                               " are marked used but nothing uses them (the first: block " +
                               std::to_string(lost.first) + ")") &&
                       mend;
            if (shared.count > 0)
                mend = c.problems.found(Damage::kBitmap,
                                        std::to_string(shared.count) + " blocks" + where +
                                            " are in use but marked free (the first: block " +
                                            std::to_string(shared.first) + ")") &&
                       mend;
            // What was not repaired may still lead to blocks: they stay used.
            if (c.problems.declined() > 0)
                for (size_t i = 0; i < expected.size(); i++) expected[i] |= bits[i];
            if (mend) {
                EXO_TRY_ASSIGN(Page * edited, c.image->edit(place));
                memcpy(edited->as<BitmapBlock>()->bits, expected.data(), expected.size());
            }
        }
    }
    const uint64_t used = count_bits(expected) - past_end;
    c.report.used_blocks += used;
    c.report.free_blocks += kGroupBlocks - past_end - used;
    return {};
}

}  // namespace

Result<> check_bitmaps(Check& c) {
    for (Ino base = 0; base < c.inode_limit(); base += kInodesPerGroup)
        EXO_TRY(check_inode_bitmap(c, base));
    const uint64_t groups = group_count(c.sb.size_blocks);
    for (uint64_t group = 0; group < groups; group++) {
        if (group % kReadAhead == 0) {
            EXO_TRY(c.pause(unsigned(95 + group * 5 / groups)));
            std::vector<BlockNo> places;
            for (uint64_t i = group; i < std::min(groups, group + kReadAhead); i++)
                places.push_back(bitmap_place(i));
            c.image->read_ahead(places);
        }
        EXO_TRY(check_block_bitmap(c, group));
    }
    return {};
}

}  // namespace exo::fsck
