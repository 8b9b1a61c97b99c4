// SPDX-License-Identifier: MIT
// Pass 3: the system block and the inode file. Without them no inode can be found, so what is lost
// is put together again: from leaves of the inode file's tree found by a search, and from the
// blocks of records themselves, whose place in the file the trees of their inodes tell.
#include <time.h>

#include <algorithm>
#include <cstring>

#include "fs/fsck/trees.h"

namespace exo::fsck {

namespace {

constexpr BlockNo kFirstInodeBlock = kSystemPlace + 1;  // where mkfs puts the inode file
constexpr uint64_t kMostFilledBlocks = 16384;  // a gap up to this is filled with new blocks

void init_record(InodeRecord& record) {
    memset(static_cast<void*>(&record), 0, sizeof record);
    record.mode = S_IFREG | 0600;
    record.nlink = 1;
    record.generation = 1;
}

BlockType type_of(uint64_t index) {
    return index % kInodeGroupBlocks == 0 ? BlockType::kInodeBitmap : BlockType::kInodes;
}

// Pieces of the inode file by index, from whatever source; the first to name a block or an index
// has it.
class Pieces {
  public:
    explicit Pieces(Check& check) : c_(check) {}

    bool add(uint64_t index, BlockNo disk, uint64_t count) {
        if (index >= kMaxFileBlocks || count > kMaxExtentBlocks ||
            !c_.space->plausible(disk, count))
            return false;
        auto after = by_index_.lower_bound(index);
        if (after != by_index_.end() && after->first < index + count) return false;
        if (after != by_index_.begin()) {
            const auto& [before, piece] = *std::prev(after);
            if (before + piece.count > index) return false;
        }
        for (BlockNo block = disk; block < disk + count; block++)
            if (c_.space->used(block)) return false;
        c_.claim_metadata(disk, count);
        by_index_[index] = {disk, count};
        return true;
    }

    // The first index that no piece covers, and how many from there on are free (at most `most`).
    std::pair<uint64_t, uint64_t> first_gap(uint64_t from, uint64_t most) const {
        for (const auto& [index, piece] : by_index_) {
            if (index > from) return {from, std::min(most, index - from)};
            from = std::max(from, index + piece.count);
        }
        return {from, most};
    }

    BlockNo place(uint64_t index) const {
        auto after = by_index_.upper_bound(index);
        if (after == by_index_.begin()) return 0;
        const auto& [first, piece] = *std::prev(after);
        return index - first < piece.count ? piece.disk + (index - first) : 0;
    }

    // From index 0 on; gaps are filled with new blocks, or end the file.
    void take(InodeFile& file, bool& filled, bool& cut) {
        for (const auto& [index, piece] : by_index_) {
            while (file.end() < index) {
                auto block = index - file.end() <= kMostFilledBlocks
                                 ? c_.allocate()
                                 : Result<BlockNo>(fail(ENOSPC));
                if (!block) {
                    cut = true;
                    return;
                }
                c_.image->create(*block, type_of(file.end()), 0);
                append(file, *block, 1);
                filled = true;
            }
            append(file, piece.disk, piece.count);
        }
    }

  private:
    struct Piece {
        BlockNo disk;
        uint64_t count;
    };
    static void append(InodeFile& file, BlockNo disk, uint64_t count) {
        if (!file.extents.empty()) {
            auto& last = file.extents.back();
            if (last.disk + last.count == disk && group_of(last.disk) == group_of(disk)) {
                last.count += count;
                return;
            }
        }
        file.extents.push_back({file.end(), disk, count});
    }
    Check& c_;
    std::map<uint64_t, Piece> by_index_;
};

// An unbroken run of blocks of records on the device.
struct Run {
    BlockNo disk;
    uint64_t count = 0;
    std::optional<uint64_t> index;  // of its first block in the inode file
};

class Search {
  public:
    explicit Search(Check& check) : c_(check) {}

    // Everything of the inode file that is not claimed yet.
    void run(std::vector<TreeRecord>& leaf_records, std::vector<Run>& runs) {
        for (BlockNo block = kFirstInodeBlock; block < c_.sb.size_blocks; block++) {
            if (c_.space->used(block)) continue;
            if (c_.bitmap(group_of(block)) && !c_.marked_used(block)) continue;
            auto page = c_.image->read(block);
            if (!page) continue;
            const auto* header = (*page)->as<BlockHeader>();
            const auto type = BlockType(uint16_t(header->type));
            if (header->magic != kBlockMagic || header->address != block) continue;
            if (type == BlockType::kTreeNode && header->owner == kInodeFileIno &&
                check_block(**page, block, type, kInodeFileIno, c_.image->tag()))
                take_leaf(**page, leaf_records);
            if (type != BlockType::kInodes && type != BlockType::kInodeBitmap) continue;
            if (!check_header(**page, block, type, 0, c_.image->tag())) continue;
            const bool starts = type == BlockType::kInodeBitmap;
            if (starts || runs.empty() || runs.back().disk + runs.back().count != block)
                runs.push_back({block, 0, std::nullopt});
            Run& run = runs.back();
            if (block == kFirstInodeBlock) run.index = 0;
            if (!run.index) run.index = anchor(**page, run.count, starts);
            run.count++;
        }
    }

  private:
    static void take_leaf(const Page& page, std::vector<TreeRecord>& records) {
        const TreeNodeView node(page.as<TreeBlock>()->area, kBodyBytes);
        if (node.level() > 0) return;
        for (unsigned i = 0; i < node.count(); i++)
            records.push_back({node.key(i), {node.value(i).begin(), node.value(i).end()}});
    }

    // The index of a run whose block number `at` is this one: an inode's tree names its inode.
    std::optional<uint64_t> anchor(const Page& page, uint64_t at, bool bitmap) {
        if (bitmap) return std::nullopt;
        for (unsigned slot = 0; slot < kInodesPerBlock; slot++) {
            const InodeRecord& record = page.as<InodeBlock>()->records[slot];
            if (record.mode == 0 || !inode_record_valid(record)) continue;
            const TreeNodeView root(record.data_root, kDataRootBytes);
            if (root.level() == 0) continue;
            const BlockNo child = root.child(0);
            if (!c_.space->plausible(child, 1)) continue;
            auto node = c_.image->read(child);
            if (!node) continue;
            const Ino owner = (*node)->as<BlockHeader>()->owner;
            if (owner >= kMaxIno || inode_slot(owner) != slot ||
                !check_block(**node, child, BlockType::kTreeNode, owner, c_.image->tag()))
                continue;
            const uint64_t index = inode_block_index(owner);
            // A run that starts with the bitmap of its group starts at a multiple.
            if (index >= at) return index - at;
        }
        return std::nullopt;
    }

    Check& c_;
};

// Whether a run may start at this index: the bitmap of its numbers must say of each what its record
// says.
bool agrees(Check& c, const Pieces& pieces, const Run& run, uint64_t index) {
    for (uint64_t i = 0; i < run.count; i++, index++) {
        const bool is_bitmap = index % kInodeGroupBlocks == 0;
        auto page = c.image->read(run.disk + i);
        if (!page) return false;
        const auto* header = (*page)->as<BlockHeader>();
        if ((header->type == uint16_t(BlockType::kInodeBitmap)) != is_bitmap) return false;
        if (is_bitmap) continue;
        const uint64_t group = index / kInodeGroupBlocks;
        const BlockNo at = group * kInodeGroupBlocks == index - i
                               ? run.disk
                               : pieces.place(group * kInodeGroupBlocks);
        if (at == 0) return false;
        auto bitmap = c.image->read(at, BlockType::kInodeBitmap, 0);
        if (!bitmap) return false;
        const uint64_t first = (index % kInodeGroupBlocks - 1) * kInodesPerBlock;
        for (unsigned slot = 0; slot < kInodesPerBlock; slot++) {
            const Ino ino = group * kInodesPerGroup + first + slot;
            if (ino != kRootIno && ino < kFirstFreeIno) continue;
            if (bit_test((*bitmap)->as<BitmapBlock>()->bits, first + slot) !=
                ((*page)->as<InodeBlock>()->records[slot].mode != 0))
                return false;
        }
    }
    return true;
}

// Runs that no tree gave a place: the inode file grows upwards on the device, so the first one that
// agrees with the bitmap fills the first gap.
void place_others(Check& c, Pieces& pieces, std::vector<Run>& runs) {
    for (uint64_t from = 0;;) {
        const auto [index, room] = pieces.first_gap(from, kMaxExtentBlocks);
        const auto run = std::ranges::find_if(runs, [&](const Run& one) {
            return !one.index && one.count <= room && agrees(c, pieces, one, index);
        });
        if (run == runs.end()) {
            if (room == kMaxExtentBlocks) return;
            from = index + room;
            continue;
        }
        run->index = index;
        if (!pieces.add(index, run->disk, run->count)) return;
        from = index + run->count;
    }
}

bool decode(const TreeRecord& record, ExtentValue& value) {
    if (record.value.size() != sizeof value) return false;
    memcpy(&value, record.value.data(), sizeof value);
    return true;
}

// Blocks behind the recorded end that hold records all the same: the recorded end is wrong.
bool holds_records(Check& c, uint64_t index) {
    const BlockNo block = c.inode_file.place(index);
    if (block == 0) return false;
    auto page = c.image->read(block, type_of(index), 0);
    if (!page) return false;
    if (type_of(index) == BlockType::kInodeBitmap) return true;
    return std::ranges::any_of((*page)->as<InodeBlock>()->records,
                               [](const InodeRecord& record) { return record.mode != 0; });
}

}  // namespace

Result<> check_inode_file(Check& c) {
    auto system = c.image->read(kSystemPlace, BlockType::kSystem, 0);
    bool whole = bool(system);
    if (whole)
        for (unsigned i = 0; i < kSystemInodes; i++)
            whole = whole && (*system)->as<InodeBlock>()->records[i].mode != 0;
    if (!whole) {
        if (!c.problems.found(
                Damage::kSystemBlock,
                "the system block is not usable: " +
                    (system ? std::string("a system inode is missing") : describe(system.error()))))
            return fail(EUCLEAN,
                        c.device.name() + ": without the system block nothing can be found");
        auto* block = c.image->create(kSystemPlace, BlockType::kSystem, 0)->as<InodeBlock>();
        for (unsigned i = 0; i < kSystemInodes; i++) init_record(block->records[i]);
    }

    EXO_TRY_ASSIGN(const InodeRecord record, c.record(kInodeFileIno));
    Pieces pieces(c);
    std::vector<BlockNo> nodes;
    bool damaged = !whole;
    std::string why = "its record is lost";
    uint64_t next = 0;
    const TreeVisitor visitor{[&](BlockNo block) {
                                  if (c.space->used(block)) return false;
                                  c.claim_metadata(block, 1);
                                  nodes.push_back(block);
                                  return true;
                              },
                              [&](uint64_t key, std::span<const std::byte> bytes) {
                                  ExtentValue value;
                                  const TreeRecord item{key, {bytes.begin(), bytes.end()}};
                                  if (!decode(item, value) || key != next ||
                                      !pieces.add(key, value.disk_block, value.length_blocks)) {
                                      damaged = true;
                                      why = "an extent of it makes no sense";
                                  } else {
                                      next = key + value.length_blocks;
                                  }
                              }};
    const TreeOutcome walked = walk_tree(c, kInodeFileIno, record, TreeRoot::kData, visitor);
    if (whole && !walked.sound()) {
        damaged = true;
        why = walked.why;
    }
    if (whole && !damaged && record.size > next) {
        damaged = true;
        why = "it is shorter than its record says";
    }
    if (damaged) {
        if (!c.problems.found(Damage::kInodeFile, "the inode file is damaged: " + why))
            return fail(EUCLEAN, c.device.name() + ": without the inode file nothing can be found");
        std::vector<TreeRecord> found;
        std::vector<Run> runs;
        Search(c).run(found, runs);
        ExtentValue value;
        for (const TreeRecord& item : found)
            if (decode(item, value))
                (void)pieces.add(item.key, value.disk_block, value.length_blocks);
        for (const Run& run : runs)
            if (run.index) (void)pieces.add(*run.index, run.disk, run.count);
        place_others(c, pieces, runs);
    }
    bool filled = false, cut = false;
    pieces.take(c.inode_file, filled, cut);
    if (c.inode_file.end() < 2)
        return fail(EUCLEAN, c.device.name() + ": no inode was found: restore it from a copy");
    c.inode_file.size =
        std::clamp<uint64_t>(whole ? uint64_t(record.size) : 0, 2, c.inode_file.end());
    // After a loss, the end is behind the last block of records.
    const uint64_t known = c.inode_file.size;
    if (damaged) {
        for (uint64_t index = c.inode_file.end(); index > known; index--) {
            if (!holds_records(c, index - 1)) continue;
            c.inode_file.size = index;
            break;
        }
    } else {
        while (holds_records(c, c.inode_file.size)) c.inode_file.size++;
    }
    if (!damaged && known != c.inode_file.size &&
        !c.problems.found(Damage::kInodeFile, "the inode file is longer than its record says"))
        c.inode_file.size = known;
    if (!damaged && record.size < 2)
        (void)c.problems.found(Damage::kInodeFile, "the inode file has no size");

    const uint64_t blocks = c.inode_file.end() + nodes.size();
    if (!damaged && record.blocks != blocks &&
        c.problems.found(Damage::kBlockCount, "the inode file has " + std::to_string(blocks) +
                                                  " blocks but its record says " +
                                                  std::to_string(record.blocks))) {
        EXO_TRY_ASSIGN(InodeRecord * edited, c.edit_record(kInodeFileIno));
        edited->blocks = blocks;
    }
    if (damaged) {
        std::vector<TreeRecord> records;
        for (const auto& extent : c.inode_file.extents) {
            ExtentValue value;
            value.disk_block = extent.disk;
            value.length_blocks = uint32_t(extent.count);
            value.flags = 0;
            const auto bytes = std::as_bytes(std::span(&value, 1));
            records.push_back({extent.index, {bytes.begin(), bytes.end()}});
        }
        EXO_TRY_ASSIGN(InodeRecord * edited, c.edit_record(kInodeFileIno));
        std::byte area[kDataRootBytes];
        EXO_TRY_ASSIGN(const uint64_t fresh,
                       build_tree(c, kInodeFileIno, records, area, kDataRootBytes));
        memcpy(edited->data_root, area, sizeof area);
        edited->blocks = c.inode_file.end() + fresh;
        for (BlockNo block : nodes) c.release(block, 1);
    }
    if (record.size != c.inode_file.size) {
        EXO_TRY_ASSIGN(InodeRecord * edited, c.edit_record(kInodeFileIno));
        edited->size = c.inode_file.size;
    }
    return {};
}

}  // namespace exo::fsck
