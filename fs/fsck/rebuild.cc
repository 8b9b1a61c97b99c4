// SPDX-License-Identifier: MIT
// Pass 7: writes every tree anew that lost a part, holds something malformed, or shares blocks.
#include <algorithm>
#include <cstring>

#include "fs/fsck/trees.h"
#include "fs/fsck/values.h"
#include "fs/node/directory.h"

namespace exo::fsck {

namespace {

class Rebuild {
  public:
    Rebuild(Check& check, Ino ino, const Rework& work, const InodeRecord& record)
        : c_(check), ino_(ino), work_(work), before_(record) {}

    Result<> run() {
        EXO_TRY_ASSIGN(InodeRecord * record, c_.edit_record(ino_));
        InodeRecord fresh = before_;
        std::vector<BlockNo> old_nodes;
        uint64_t nodes = 0, data = 0;

        TreeContent content = read_tree(c_, ino_, before_, TreeRoot::kData);
        nodes = content.nodes.size();
        if (S_ISREG(before_.mode)) drop_bad_extents(content.records);
        if (work_.data) {
            old_nodes = content.nodes;
            bring_back(content.records);
            if (S_ISREG(before_.mode)) {
                EXO_TRY(cut(content.records));
                grow_to_fit(fresh, content.records);
                if (!work_.cuts.empty()) fresh.flags = fresh.flags & ~kInodePinned;
            } else if (S_ISLNK(before_.mode)) {
                if (!whole_target(content.records)) return remove(*record, content.nodes);
                fresh.size = target_bytes(content.records);
            }
            EXO_TRY_ASSIGN(nodes,
                           build_tree(c_, ino_, content.records, fresh.data_root, kDataRootBytes));
        }
        if (S_ISREG(before_.mode))
            for (const TreeRecord& item : content.records) data += extent_of(item).count;

        TreeContent attributes = read_tree(c_, ino_, before_, TreeRoot::kXattr);
        uint64_t attribute_nodes = attributes.nodes.size();
        if (work_.xattr) {
            // A node that both trees lead to belongs to the data.
            std::ranges::sort(content.nodes);
            const auto shared = std::erase_if(attributes.nodes, [&](BlockNo block) {
                return std::ranges::binary_search(content.nodes, block);
            });
            if (shared > 0) attributes.records.clear();
            keep_whole_attributes(attributes.records, fresh);
            old_nodes.insert(old_nodes.end(), attributes.nodes.begin(), attributes.nodes.end());
            EXO_TRY_ASSIGN(attribute_nodes, build_tree(c_, ino_, attributes.records,
                                                       fresh.xattr_root, kXattrRootBytes));
        }
        fresh.blocks = nodes + attribute_nodes + data;
        for (BlockNo block : old_nodes) {
            c_.image->forget(block);
            c_.release(block, 1);
        }
        c_.facts(ino_).flags = uint8_t(fresh.flags);
        if ((fresh.flags & kInodePinned) == 0) c_.pinned.erase(ino_);
        *record = fresh;
        return {};
    }

  private:
    // Of a record that was found to be good before.
    FileExtent extent_of(const TreeRecord& item) const {
        return parse_extent(*c_.space, item.key, item.value).value_or(FileExtent{});
    }

    bool lost(uint64_t key) const {
        return std::ranges::any_of(work_.lost, [&](const KeyRange& range) {
            return key >= range.low && key <= range.high;
        });
    }

    // Records of leaves that the search found, where the tree has lost its own.
    void bring_back(std::vector<TreeRecord>& records) {
        auto it = c_.leaves.find(ino_);
        if (it == c_.leaves.end()) return;
        for (BlockNo block : it->second) {
            auto page = c_.image->read(block);
            if (!page) continue;
            const TreeNodeView node((*page)->as<TreeBlock>()->area, kBodyBytes);
            for (unsigned i = 0; i < node.count(); i++) {
                const auto value = node.value(i);
                if (!lost(node.key(i)) || !acceptable(node.key(i), value)) continue;
                const auto at =
                    std::ranges::lower_bound(records, node.key(i), {}, &TreeRecord::key);
                if (!fits(records, at, node.key(i), value)) continue;
                if (S_ISREG(before_.mode)) {
                    const FileExtent extent =
                        parse_extent(*c_.space, node.key(i), value).value_or(FileExtent{});
                    (void)c_.space->claim(extent.disk, extent.count);
                }
                records.insert(at, {node.key(i), {value.begin(), value.end()}});
            }
        }
    }

    // Whether the place in the tree is free.
    bool fits(const std::vector<TreeRecord>& records, std::vector<TreeRecord>::const_iterator at,
              uint64_t key, std::span<const std::byte> value) const {
        if (at != records.end() && at->key == key) return false;
        if (!S_ISREG(before_.mode)) return true;
        const auto extent = parse_extent(*c_.space, key, value);
        if (!extent || (at != records.end() && at->key - key < extent->count)) return false;
        if (at == records.begin()) return true;
        const FileExtent before = extent_of(*std::prev(at));
        return before.file_block + before.count <= key;
    }

    bool acceptable(uint64_t key, std::span<const std::byte> value) {
        if (S_ISREG(before_.mode)) {
            const auto extent = parse_extent(*c_.space, key, value);
            if (!extent) return false;
            for (BlockNo block = extent->disk; block < extent->disk + extent->count; block++)
                if (c_.space->used(block) || !c_.marked_used(block)) return false;
            return true;
        }
        if (S_ISDIR(before_.mode)) {
            const auto entry = parse_entry(key, value);
            return entry && key - name_key(c_.hash_key, entry->name) < kNameTies;
        }
        return S_ISLNK(before_.mode) && key <= 4 && value.size() <= kSymlinkPieceBytes;
    }

    void drop_bad_extents(std::vector<TreeRecord>& records) {
        uint64_t next = 0;
        std::erase_if(records, [&](const TreeRecord& item) {
            const auto extent = parse_extent(*c_.space, item.key, item.value);
            if (!extent || extent->file_block < next) return true;
            next = extent->file_block + extent->count;
            return false;
        });
    }

    static TreeRecord make_extent(uint64_t file_block, BlockNo disk, uint64_t count,
                                  bool unwritten) {
        ExtentValue value;
        value.disk_block = disk;
        value.length_blocks = uint32_t(count);
        value.flags = unwritten ? kExtentUnwritten : 0;
        const auto bytes = std::as_bytes(std::span(&value, 1));
        return {file_block, {bytes.begin(), bytes.end()}};
    }

    // Takes blocks out of extents that others keep; copies take the place of some.
    Result<> cut(std::vector<TreeRecord>& records) {
        if (work_.cuts.empty()) return {};
        std::vector<TreeRecord> result;
        auto next_cut = work_.cuts.begin();
        for (const TreeRecord& item : records) {
            const FileExtent extent = extent_of(item);
            uint64_t at = extent.file_block;
            const uint64_t end = at + extent.count;
            auto keep = [&](uint64_t to) {
                if (to > at)
                    result.push_back(make_extent(at, extent.disk + (at - extent.file_block),
                                                 to - at, extent.unwritten));
            };
            while (next_cut != work_.cuts.end() && next_cut->file_block < extent.file_block)
                ++next_cut;
            for (; next_cut != work_.cuts.end() && next_cut->file_block < end; ++next_cut) {
                keep(next_cut->file_block);
                at = next_cut->file_block + 1;
                if (!next_cut->copy || extent.unwritten) continue;
                EXO_TRY_ASSIGN(const BlockNo fresh, c_.allocate());
                c_.metadata->release(fresh, 1);
                c_.image->copy_data(next_cut->disk, fresh);
                append(result, make_extent(next_cut->file_block, fresh, 1, false));
            }
            keep(end);
        }
        records = std::move(result);
        return {};
    }

    // Joins copies that lie side by side.
    void append(std::vector<TreeRecord>& records, TreeRecord item) {
        if (!records.empty()) {
            const auto last = parse_extent(*c_.space, records.back().key, records.back().value);
            const auto more = parse_extent(*c_.space, item.key, item.value);
            if (last && more && !last->unwritten && !more->unwritten &&
                last->file_block + last->count == more->file_block &&
                last->disk + last->count == more->disk &&
                c_.space->plausible(last->disk, last->count + more->count)) {
                records.back() =
                    make_extent(last->file_block, last->disk, last->count + more->count, false);
                return;
            }
        }
        records.push_back(std::move(item));
    }

    void grow_to_fit(InodeRecord& record, const std::vector<TreeRecord>& records) {
        if ((record.flags & kInodeOrphan) != 0) return;
        for (const TreeRecord& item : records) {
            const FileExtent extent = extent_of(item);
            const uint64_t end = (extent.file_block + extent.count) * kBlockBytes;
            if (!extent.unwritten && end >= record.size + kBlockBytes) record.size = end;
        }
    }

    static uint64_t target_bytes(const std::vector<TreeRecord>& records) {
        uint64_t bytes = 0;
        for (const TreeRecord& item : records) bytes += item.value.size();
        return bytes;
    }
    bool whole_target(const std::vector<TreeRecord>& records) const {
        for (size_t i = 0; i < records.size(); i++) {
            const auto& piece = records[i].value;
            const bool last = i + 1 == records.size();
            if (records[i].key != i || piece.empty() || piece.size() > kSymlinkPieceBytes ||
                (!last && piece.size() != kSymlinkPieceBytes) ||
                std::ranges::find(piece, std::byte{0}) != piece.end())
                return false;
        }
        // Where pieces were lost, only the recorded size tells that all are back.
        const uint64_t bytes = target_bytes(records);
        return bytes > 0 && bytes <= 4095 && (work_.lost.empty() || bytes == before_.size);
    }

    void keep_whole_attributes(std::vector<TreeRecord>& records, InodeRecord& fresh) {
        std::vector<TreeRecord> result, part;
        AttributeChecker checker(c_.hash_key, S_ISDIR(before_.mode));
        for (TreeRecord& item : records) {
            auto verdict = checker.feed(item.key, item.value);
            if (verdict == AttributeChecker::Verdict::kBad) {
                part.clear();
                verdict = checker.feed(item.key, item.value);  // perhaps the next one's start
                if (verdict == AttributeChecker::Verdict::kBad) continue;
            }
            part.push_back(std::move(item));
            if (verdict != AttributeChecker::Verdict::kWhole) continue;
            if (!checker.access_acl().empty()) settle_mode(checker.access_acl(), part, fresh);
            std::ranges::move(part, std::back_inserter(result));
            part.clear();
        }
        records = std::move(result);
        // The bits of the group were the mask of the ACL: they may allow more than it did.
        if (checker.bad_access_acl()) fresh.mode = fresh.mode & ~uint32_t(S_IRWXG);
    }

    // Where mode and ACL differ, nobody knows which is right: allowed is what both allow.
    static void settle_mode(Acl acl, std::span<TreeRecord> pieces, InodeRecord& fresh) {
        uint32_t mode = fresh.mode;
        (void)acl_to_mode(acl, mode);
        if (mode == fresh.mode) return;
        mode = fresh.mode;
        (void)inherit_acl(acl, mode);
        fresh.mode = mode;
        const std::vector<std::byte> value = encode_acl(acl);
        size_t skip = sizeof(AttributeHead) + kAclAccessName.size(), done = 0;
        for (TreeRecord& piece : pieces) {
            const size_t length = std::min(piece.value.size() - skip, value.size() - done);
            memcpy(piece.value.data() + skip, value.data() + done, length);
            done += length;
            skip = 0;
        }
    }

    Result<> remove(InodeRecord& record, std::vector<BlockNo> nodes) {
        const TreeContent attributes = read_tree(c_, ino_, before_, TreeRoot::kXattr);
        nodes.insert(nodes.end(), attributes.nodes.begin(), attributes.nodes.end());
        for (BlockNo block : nodes) {
            c_.image->forget(block);
            c_.release(block, 1);
        }
        const uint32_t generation = record.generation;
        memset(static_cast<void*>(&record), 0, sizeof record);
        record.generation = generation;
        c_.facts(ino_) = {};
        c_.pinned.erase(ino_);
        c_.orphans.erase(ino_);
        c_.report.inodes--;
        return {};
    }

    Check& c_;
    Ino ino_;
    const Rework& work_;
    const InodeRecord before_;
};

}  // namespace

Result<> rebuild_trees(Check& c) {
    for (const auto& [ino, work] : c.rework) {
        if (!work.data && !work.xattr) continue;
        EXO_TRY_ASSIGN(const InodeRecord record, c.record(ino));
        if (record.mode == 0) continue;
        if (auto done = Rebuild(c, ino, work, record).run(); !done) {
            if (done.error().code != ENOSPC) return done;
            (void)c.problems.found(Damage::kTree, of(ino) + " cannot be repaired");
            c.problems.not_repaired("no block is free; remove something and check again");
        }
    }
    return {};
}

}  // namespace exo::fsck
