// SPDX-License-Identifier: MIT
// Pass 5: leaves that nothing leads to any more. Every node carries its address and its inode's
// number, so the blocks that are marked used but were not claimed are read, and leaves of damaged
// trees and of lost inodes are kept. A block whose bitmap is damaged, or is marked free, is not
// believed: it may be an old node of a file deleted long ago, with extents that others use now.
#include <time.h>

#include <algorithm>
#include <cstring>

#include "fs/fsck/trees.h"
#include "fs/fsck/values.h"
#include "fs/node/directory.h"

namespace exo::fsck {

namespace {

bool wanted(Check& c, Ino ino) {
    if (c.lost_inodes.contains(ino)) return true;
    auto it = c.rework.find(ino);
    return it != c.rework.end() && !it->second.lost.empty();
}

void search(Check& c) {
    for (uint64_t group = 0; group < group_count(c.sb.size_blocks); group++) {
        const PageRef bitmap = c.bitmap(group);
        if (!bitmap) continue;
        const Space::Bits used = c.space->bits(group);
        const uint8_t* marked = bitmap->as<BitmapBlock>()->bits;
        for (uint64_t at = bits_find(marked, 0, kGroupBlocks, true); at < kGroupBlocks;
             at = bits_find(marked, at + 1, kGroupBlocks, true)) {
            if (bit_test(used.data(), at)) continue;
            const BlockNo block = group * kGroupBlocks + at;
            auto page = c.image->read(block);
            if (!page) continue;
            const auto* header = (*page)->as<BlockHeader>();
            const Ino owner = header->owner;
            if (header->magic != kBlockMagic || !wanted(c, owner) ||
                !check_block(**page, block, BlockType::kTreeNode, owner, c.image->tag()))
                continue;
            if (TreeNodeView((*page)->as<TreeBlock>()->area, kBodyBytes).level() > 0) continue;
            c.leaves[owner].push_back(block);
            c.retired->claim(block, 1);
        }
    }
}

// What an inode was whose record is lost, by its leaves; 0: that cannot be told.
uint32_t kind_of(Check& c, const std::vector<BlockNo>& leaves) {
    bool entries = true, extents = true;
    for (BlockNo block : leaves) {
        auto page = c.image->read(block);
        if (!page) return 0;
        const TreeNodeView node((*page)->as<TreeBlock>()->area, kBodyBytes);
        for (unsigned i = 0; i < node.count(); i++) {
            const auto entry = parse_entry(node.key(i), node.value(i));
            entries =
                entries && entry && node.key(i) - name_key(c.hash_key, entry->name) < kNameTies;
            extents = extents && parse_extent(*c.space, node.key(i), node.value(i));
        }
    }
    return entries ? uint32_t(S_IFDIR) : extents ? uint32_t(S_IFREG) : 0;
}

// A new record for a lost inode: closed to all but root, since who owned it is not known.
Result<> revive(Check& c, Ino ino, uint32_t kind) {
    EXO_TRY_ASSIGN(InodeRecord * record, c.edit_record(ino));
    const uint32_t generation = record->generation;
    memset(static_cast<void*>(record), 0, sizeof *record);
    record->mode = kind | (kind == S_IFDIR ? (ino == kRootIno ? 0755 : 0700) : 0600);
    record->nlink = 1;
    record->generation = generation != 0 ? generation : c.stamp;
    record->parent = ino == kRootIno ? kRootIno : 0;
    const int64_t now = time(nullptr);
    record->atime_s = record->mtime_s = record->ctime_s = record->btime_s = now;
    InodeFacts& facts = c.facts(ino);
    facts = {1, 0, record->generation, uint8_t(kind >> 12), 0};
    c.report.inodes++;
    if (kind == S_IFDIR) {
        c.report.directories++;
        c.directories[ino] = {};
        c.directories[ino].parent = record->parent;
    }
    Rework& rework = c.rework[ino];
    rework.data = true;
    rework.lost = {{0, UINT64_MAX}};
    return {};
}

}  // namespace

Result<> search_lost(Check& c) {
    const bool lost = !c.lost_inodes.empty() || std::ranges::any_of(c.rework, [](const auto& item) {
        return !item.second.lost.empty();
    });
    if (lost) search(c);
    for (Ino ino : c.lost_inodes) {
        auto it = c.leaves.find(ino);
        const uint32_t kind = it == c.leaves.end() ? 0 : kind_of(c, it->second);
        if (kind == 0 && ino != kRootIno) continue;
        if (c.facts(ino).type != 0) continue;
        if (ino == kRootIno) {
            if (!c.problems.found(Damage::kRoot, "the root directory is lost")) continue;
        } else if (!c.problems.found(Damage::kInodeRecord,
                                     of(ino) + " is lost, but " +
                                         (kind == S_IFDIR ? "entries" : "extents") +
                                         " of it are left")) {
            continue;
        }
        EXO_TRY(revive(c, ino, ino == kRootIno ? uint32_t(S_IFDIR) : kind));
    }
    if (c.facts(kRootIno).type == S_IFDIR >> 12) return {};
    return fail(ECANCELED, c.device.name() + ": without a root directory nothing can be found");
}

}  // namespace exo::fsck
