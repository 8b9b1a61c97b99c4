// SPDX-License-Identifier: MIT
// Pass 4: every block of records in turn. Fields are put right in place; what is wrong with a tree
// is noted for a later pass, and whose blocks it uses is claimed.
#include <algorithm>
#include <cstring>

#include "fs/fsck/trees.h"
#include "fs/fsck/values.h"

namespace exo::fsck {

namespace {

class InodePass {
  public:
    explicit InodePass(Check& check) : c_(check) {}

    Result<> run() {
        for (uint64_t index = 0; index < c_.inode_file.size; index++) {
            if (index % 512 == 0) EXO_TRY(c_.pause(unsigned(index * 70 / c_.inode_file.size)));
            if (index % kInodeGroupBlocks != 0) EXO_TRY(block_of_records(index));
        }
        return {};
    }

  private:
    static Ino first_ino(uint64_t index) {
        return index / kInodeGroupBlocks * kInodesPerGroup +
               (index % kInodeGroupBlocks - 1) * kInodesPerBlock;
    }
    bool found(Damage damage, const std::string& what) {
        return c_.problems.found(damage, of(ino_) + " " + what);
    }

    Result<> block_of_records(uint64_t index) {
        const BlockNo block = c_.inode_file.place(index);
        const Ino first = first_ino(index);
        auto page = c_.image->read(block, BlockType::kInodes, 0);
        bool header_good = bool(page);
        if (!header_good) {
            // Only the structure of a record may be what is wrong.
            page = c_.image->read(block);
            if (page)
                header_good =
                    bool(check_header(**page, block, BlockType::kInodes, 0, c_.image->tag()));
        }
        if (!header_good) {
            const Result<> why =
                page ? check_header(**page, block, BlockType::kInodes, 0, c_.image->tag())
                     : Result<>(std::unexpected(page.error()));
            const bool agreed = c_.problems.found(Damage::kInodeBlock,
                                                  "inodes " + std::to_string(first) + " to " +
                                                      std::to_string(first + kInodesPerBlock - 1) +
                                                      " are lost: " + describe(why.error()));
            auto* fresh = c_.image->create(block, BlockType::kInodes, 0)->as<InodeBlock>();
            for (unsigned slot = 0; slot < kInodesPerBlock; slot++) {
                fresh->records[slot].generation = c_.stamp;
                const Ino ino = first + slot;
                if (ino == kRootIno || (ino >= kFirstFreeIno && was_in_use(ino)))
                    c_.lost_inodes.insert(ino);
            }
            if (!agreed)
                return fail(ECANCELED, "without a repair of block " + std::to_string(block) +
                                           " the rest cannot be repaired");
            return {};
        }
        const PageRef held = *page;
        for (unsigned slot = 0; slot < kInodesPerBlock; slot++) {
            ino_ = first + slot;
            InodeRecord record = held->as<InodeBlock>()->records[slot];
            if (ino_ == kRootIno && !S_ISDIR(record.mode)) {
                c_.lost_inodes.insert(ino_);  // its entries may be left
                EXO_TRY(clear());
                continue;
            }
            if (record.mode == 0) continue;
            if (ino_ != kRootIno && ino_ < kFirstFreeIno) {
                if (found(Damage::kInodeRecord, "is reserved but in use")) EXO_TRY(clear());
                continue;
            }
            const InodeRecord before = record;
            if (!basics(record)) {
                EXO_TRY(clear());
                if (!c_.problems.declined()) c_.lost_inodes.insert(ino_);
                continue;
            }
            content(record);
            if (memcmp(&before, &record, sizeof record) != 0) {
                EXO_TRY_ASSIGN(InodeRecord * edited, c_.edit_record(ino_));
                *edited = record;
            }
        }
        return {};
    }

    bool was_in_use(Ino ino) {
        const BlockNo place = c_.inode_file.place(inode_bitmap_index(ino));
        auto bits = c_.image->read(place, BlockType::kInodeBitmap, 0);
        return !bits || bit_test((*bits)->as<BitmapBlock>()->bits, ino % kInodesPerGroup);
    }

    Result<> clear() {
        EXO_TRY_ASSIGN(InodeRecord * edited, c_.edit_record(ino_));
        const uint32_t generation = edited->generation;
        memset(static_cast<void*>(edited), 0, sizeof *edited);
        edited->generation = generation != 0 ? generation : c_.stamp;
        return {};
    }

    // Fields that stand for themselves. False: this is no inode.
    bool basics(InodeRecord& record) {
        if (!file_type_known(record.mode))
            return !found(Damage::kInodeRecord, "has a malformed inode record: no known type");
        auto field = [&](bool wrong, const char* what, auto&& mend) {
            if (wrong &&
                found(Damage::kInodeField, std::string("has a malformed inode record: ") + what))
                mend();
        };
        const uint32_t known = S_IFMT | 07777;
        field((record.mode & ~known) != 0, "mode", [&] { record.mode = record.mode & known; });
        field(record.generation == 0, "generation", [&] { record.generation = c_.stamp; });
        field((record.flags & ~kInodeKnownFlags) != 0, "flags",
              [&] { record.flags = record.flags & kInodeKnownFlags; });
        for (le32* ns : {&record.atime_ns, &record.mtime_ns, &record.ctime_ns, &record.btime_ns})
            field(*ns >= 1000000000, "time", [&] { *ns = 0; });
        return true;
    }

    void content(InodeRecord& record) {
        c_.report.inodes++;
        lost_data_ = false;
        InodeFacts& facts = c_.facts(ino_);
        facts.nlink = record.nlink;
        facts.generation = record.generation;
        facts.type = uint8_t(record.mode >> 12);
        facts.flags = uint8_t(record.flags);
        if (!TreeNodeView::valid(record.data_root, kDataRootBytes)) {
            if (!found(Damage::kTree, "has a malformed inode record: the root of its tree")) return;
            c_.rework[ino_].lost.push_back({0, UINT64_MAX});
            c_.rework[ino_].data = true;
            memset(record.data_root, 0, sizeof record.data_root);
            lost_data_ = true;
        }
        if (!TreeNodeView::valid(record.xattr_root, kXattrRootBytes)) {
            if (!found(Damage::kAttribute,
                       "has a malformed inode record: the root of its extended attributes"))
                return;
            c_.rework[ino_].xattr = true;
            memset(record.xattr_root, 0, sizeof record.xattr_root);
            lost_data_ = true;
        }
        blocks_ = 0;
        if ((record.flags & kInodePinned) != 0 && !S_ISREG(record.mode) &&
            found(Damage::kFlags, "is pinned but no regular file"))
            record.flags = record.flags & ~kInodePinned;
        if (S_ISREG(record.mode))
            file(record);
        else if (S_ISDIR(record.mode))
            directory(record);
        else if (S_ISLNK(record.mode))
            symlink(record);
        else
            special(record);
        attributes(record);
        if (!lost_data_ && !c_.rework.contains(ino_) && record.blocks != blocks_ &&
            found(Damage::kBlockCount, "has " + std::to_string(blocks_) +
                                           " blocks but its record says " +
                                           std::to_string(record.blocks)))
            record.blocks = blocks_;

        facts.flags = uint8_t(record.flags);
        if ((record.flags & kInodePinned) != 0) c_.pinned[ino_] = record.generation;
        if ((record.flags & kInodeOrphan) != 0) c_.orphans[ino_] = record.generation;
    }

    // Walks a tree, claims its nodes; parts that are lost are noted.
    void tree(const InodeRecord& record, TreeRoot root,
              const std::function<void(uint64_t, std::span<const std::byte>)>& each) {
        if (root == TreeRoot::kData) nodes_.clear();
        const TreeVisitor visitor{
            [&](BlockNo block) {
                // Keys keep the nodes of one tree apart, but not those of an inode's two trees.
                if (root == TreeRoot::kXattr && std::ranges::binary_search(nodes_, block))
                    return false;
                if (c_.metadata->used(block)) {
                    c_.rejected.insert(block);
                    return false;
                }
                c_.claim_metadata(block, 1);
                if (root == TreeRoot::kData) nodes_.push_back(block);
                return true;
            },
            each};
        const TreeOutcome outcome = walk_tree(c_, ino_, record, root, visitor);
        if (root == TreeRoot::kData) std::ranges::sort(nodes_);
        blocks_ += outcome.nodes;
        if (outcome.sound()) return;
        const bool data = root == TreeRoot::kData;
        if (!c_.problems.found(data ? Damage::kTree : Damage::kAttribute,
                               of(ino_) + " has lost a part of its " +
                                   (data ? "tree" : "extended attributes") + ": " + outcome.why))
            return;
        Rework& rework = c_.rework[ino_];
        if (data) {
            rework.data = true;
            rework.lost.insert(rework.lost.end(), outcome.lost.begin(), outcome.lost.end());
        } else {
            rework.xattr = true;
        }
    }

    void file(InodeRecord& record) {
        uint64_t next = 0, written_end = 0, bad = 0;
        tree(record, TreeRoot::kData, [&](uint64_t key, std::span<const std::byte> value) {
            const auto extent = parse_extent(*c_.space, key, value);
            if (!extent || extent->file_block < next) {
                bad++;
                return;
            }
            next = extent->file_block + extent->count;
            if (!extent->unwritten) written_end = next;
            blocks_ += extent->count;
            for (const BlockRun& run : c_.space->claim(extent->disk, extent->count))
                c_.contested[run.start] = std::max(c_.contested[run.start], run.start + run.count);
        });
        if (bad > 0 && found(Damage::kExtent, "has " + std::to_string(bad) +
                                                  " extents that are malformed or overlap"))
            c_.rework[ino_].data = true;
        if (record.size > kMaxFileBytes &&
            found(Damage::kFileSize, "has an impossible size of " + std::to_string(record.size)))
            record.size = written_end * kBlockBytes;
        const uint64_t end = (record.size + kBlockBytes - 1) / kBlockBytes;
        if (written_end > end && (record.flags & kInodeOrphan) == 0 &&
            found(Damage::kFileSize, "has data behind its end at " + std::to_string(record.size)))
            record.size = written_end * kBlockBytes;
    }

    void directory(InodeRecord& record) {
        c_.report.directories++;
        DirFacts& facts = c_.directories[ino_];
        facts.parent = record.parent;
        facts.recorded = record.size;
        tree(record, TreeRoot::kData, {});
    }

    void symlink(InodeRecord& record) {
        uint64_t length = 0, expected = 0;
        bool good = true;
        tree(record, TreeRoot::kData, [&](uint64_t key, std::span<const std::byte> piece) {
            // Pieces are full but for the last.
            good = good && key == expected++ && length % kSymlinkPieceBytes == 0 &&
                   !piece.empty() && piece.size() <= kSymlinkPieceBytes &&
                   std::ranges::find(piece, std::byte{0}) == piece.end();
            length += piece.size();
        });
        if (c_.rework.contains(ino_) && c_.rework[ino_].data) return;  // when it is known
        if (!good || length == 0 || length > kMaxSymlinkBytes) {
            if (found(Damage::kSymlink, "is a symlink with a malformed target"))
                c_.rework[ino_].data = true;
        } else if (length != record.size &&
                   found(Damage::kFileSize, "is a symlink of " + std::to_string(length) +
                                                " bytes but its record says " +
                                                std::to_string(record.size))) {
            record.size = length;
        }
    }

    void special(InodeRecord& record) {
        const TreeNodeView root(record.data_root, kDataRootBytes);
        if (root.level() == 0 && root.count() == 0) return;
        if (found(Damage::kSpecialFile, "is a special file but has content"))
            memset(record.data_root, 0, sizeof record.data_root);
    }

    void attributes(const InodeRecord& record) {
        AttributeChecker checker(c_.hash_key, S_ISDIR(record.mode));
        uint64_t bad = 0;
        uint32_t acl_mode = record.mode;
        tree(record, TreeRoot::kXattr, [&](uint64_t key, std::span<const std::byte> piece) {
            const auto verdict = checker.feed(key, piece);
            if (verdict == AttributeChecker::Verdict::kBad) bad++;
            if (verdict == AttributeChecker::Verdict::kWhole && !checker.access_acl().empty())
                (void)acl_to_mode(checker.access_acl(), acl_mode);
        });
        if (c_.rework.contains(ino_) && c_.rework[ino_].xattr) return;
        if ((bad > 0 || !checker.between()) &&
            found(Damage::kAttribute, "has malformed extended attributes"))
            c_.rework[ino_].xattr = true;
        if (acl_mode != record.mode &&
            found(Damage::kAclMode, "has a mode that is not the one of its access ACL"))
            c_.rework[ino_].xattr = true;
    }

    Check& c_;
    Ino ino_ = 0;
    uint64_t blocks_ = 0;
    bool lost_data_ = false;
    std::vector<BlockNo> nodes_;  // of the current inode's data tree
};

}  // namespace

Result<> check_inodes(Check& check) {
    return InodePass(check).run();
}

}  // namespace exo::fsck
