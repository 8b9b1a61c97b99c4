// SPDX-License-Identifier: MIT
// The read-only check. It walks everything reachable from the superblock, notes who uses each
// block, and compares: blocks with the bitmaps, links with the entries, indexes with the flags.
// Works on the layers below Volume, with the log replayed in memory, and trusts nothing it reads.
#include "fs/fsck/fsck.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "fs/node/directory.h"
#include "fs/node/extent_map.h"
#include "fs/node/index.h"
#include "fs/volume/superblock_io.h"

namespace exo {

namespace {

class Checker {
  public:
    Checker(BlockDevice& device, const FsckOptions& options) : device_(device), options_(options) {}

    Result<FsckReport> run() {
        EXO_TRY_ASSIGN(const LoadedSuperblock loaded, load_superblock(device_));
        superblock_ = loaded.superblock;
        if (loaded.from_backup)
            problem("the primary superblock is damaged; the backup at block " +
                    std::to_string(loaded.backup) + " is intact");
        check_backups();
        EXO_TRY_ASSIGN(journal_, Journal::open(device_, superblock_,
                                               {.read_only = true, .cache_bytes = 64u << 20}));
        report_.journal_replayed = journal_->replayed();
        used_.assign((superblock_.size_blocks + 63) / 64, 0);
        note_fixed();
        allocator_ =
            Allocator::empty(device_, *journal_, superblock_);  // nothing is allocated here
        std::array<uint8_t, 16> hash_key;
        memcpy(hash_key.data(), superblock_.hash_key, sizeof hash_key);
        core_.reset(new Core{device_, superblock_, *journal_, *allocator_, hash_key});
        inodes_ = std::make_unique<InodeTable>(*core_);

        auto reader = journal_->reader();
        if (!check_system()) return std::move(report_);
        check_inodes();
        check_links();
        check_index(kPinIndexIno, "pin list", pinned_);
        check_index(kOrphanIndexIno, "orphan list", orphans_);
        check_bitmaps();
        return std::move(report_);
    }

  private:
    struct Facts {
        uint32_t generation;
        uint32_t nlink;
        uint32_t mode;
        uint32_t entries = 0;   // names that lead here
        uint32_t children = 0;  // directories in this directory
        Ino parent = 0;         // of a directory: as its record says
        Ino found_in = 0;       // of a directory: where its entry is
    };

    void problem(std::string text) {
        if (report_.problems.size() < options_.max_problems)
            report_.problems.push_back(std::move(text));
    }
    static std::string of(Ino ino) { return "inode " + std::to_string(ino); }

    void check_backups() {
        MutablePageRef page = allocate_page();
        const uint64_t blocks = device_.size_bytes() / kBlockBytes;
        for (BlockNo place : backup_places(superblock_.size_blocks)) {
            Result<> good = device_.read(place * kBlockBytes, page->bytes, kBlockBytes);
            if (good) good = check_superblock(*page, place, blocks, device_.name());
            if (good && memcmp(page->as<Superblock>()->uuid, superblock_.uuid, 16) != 0)
                good = fail(EUCLEAN, "it belongs to another file system");
            if (!good)
                problem("the backup superblock at block " + std::to_string(place) +
                        " is not usable: " + describe(good.error()));
        }
    }

    // Marks blocks as used by something; complains about a second user.
    void claim(BlockNo start, uint64_t count, const std::string& user) {
        if (start >= superblock_.size_blocks || count > superblock_.size_blocks - start) {
            problem(user + " uses blocks " + std::to_string(start) + "+" + std::to_string(count) +
                    ", which are outside the file system");
            return;
        }
        for (BlockNo block = start; block < start + count; block++) {
            uint64_t& word = used_[block / 64];
            const uint64_t bit = 1ull << (block % 64);
            if ((word & bit) != 0) {
                problem(user + " uses block " + std::to_string(block) +
                        ", which something else uses too");
                return;
            }
            word |= bit;
        }
    }

    void note_fixed() {
        claim(0, 1, "the superblock");
        claim(kSystemPlace, 1, "the system block");
        claim(superblock_.journal_start, superblock_.journal_blocks, "the journal");
        for (BlockNo place : backup_places(superblock_.size_blocks))
            claim(place, 1, "a backup superblock");
        for (uint64_t group = 0; group < group_count(superblock_.size_blocks); group++)
            claim(bitmap_place(group), 1, "a bitmap");
    }

    // Every inner node's order and bounds; returns blocks of nodes, or nothing when it is damaged.
    std::optional<uint64_t> check_tree(Ino ino, TreeRoot root) {
        uint64_t nodes = 0;
        Tree tree(*core_, *inodes_, ino, Purpose::kMetadata, root);
        auto walked = tree.for_each_node([&](BlockNo block) -> Result<> {
            claim(block, 1, "the tree of " + of(ino));
            nodes++;
            return {};
        });
        if (!walked) {
            problem(of(ino) + ": " + describe(walked.error()));
            return std::nullopt;
        }
        // Keys in order over the whole tree, and each found where a lookup would go.
        std::optional<uint64_t> previous;
        bool ordered = true;
        auto scanned = tree.scan(0, [&](uint64_t key, std::span<const std::byte>) {
            if (previous && key <= *previous) return ordered = false;
            previous = key;
            return true;
        });
        if (scanned && ordered) scanned = tree.check_bounds();
        if (!scanned || !ordered) {
            problem("the tree of " + of(ino) + " is out of order");
            return std::nullopt;
        }
        return nodes;
    }

    // Blocks of a file's data, or nothing when its extents are damaged.
    std::optional<uint64_t> check_extents(Ino ino, uint64_t* end = nullptr) {
        uint64_t blocks = 0, next = 0;
        bool overlap = false;
        const ExtentMap map(*core_, *inodes_, ino);
        auto walked = map.for_each(0, [&](const Segment& extent) {
            if (extent.file_block < next) overlap = true;
            next = extent.file_block + extent.count;
            claim(extent.disk, extent.count, of(ino));
            blocks += extent.count;
            return true;
        });
        if (end) *end = next;
        if (!walked) problem(describe(walked.error()));
        if (overlap) problem("extents of " + of(ino) + " overlap in the file");
        return walked ? std::optional(blocks) : std::nullopt;
    }

    void check_blocks(Ino ino, uint64_t counted, uint64_t recorded) {
        if (counted != recorded)
            problem(of(ino) + " has " + std::to_string(counted) + " blocks but its record says " +
                    std::to_string(recorded));
    }

    bool check_system() {
        for (unsigned i = 0; i < kSystemInodes; i++) {
            const Ino ino = kSystemInoBase + i;
            auto ref = inodes_->read(ino);
            if (!ref) {
                problem("a system inode cannot be read: " + describe(ref.error()));
                return false;
            }
            const auto nodes = check_tree(ino, TreeRoot::kData);
            if (!nodes) return false;
            uint64_t data = 0, end = 0;
            if (ino == kInodeFileIno) {
                const auto blocks = check_extents(ino, &end);
                if (!blocks) return false;
                data = *blocks;
                if (end < (*ref)->size || data != end)
                    problem("the inode file has holes or is shorter than its size");
            }
            check_blocks(ino, *nodes + data, (*ref)->blocks);
        }
        return true;
    }

    void check_inodes() {
        auto limit = inodes_->limit();
        if (!limit) {
            problem(describe(limit.error()));
            return;
        }
        for (Ino base = 0; base < *limit; base += kInodesPerGroup) {
            const uint64_t stop = std::min(kInodesPerGroup, *limit - base);
            auto bitmap = inode_bitmap(base);
            if (!bitmap) problem(describe(bitmap.error()));
            for (uint64_t i = 0; i < stop; i++) {
                const Ino ino = base + i;
                if (options_.progress && ino % 16384 == 0)
                    options_.progress(unsigned(ino * 90 / *limit));
                const bool marked =
                    bitmap ? bit_test((*bitmap)->as<BitmapBlock>()->bits, i) : false;
                if (ino != kRootIno && ino < kFirstFreeIno) {
                    if (bitmap && !marked) problem("reserved " + of(ino) + " is marked free");
                    continue;
                }
                auto ref = inodes_->read_any(ino);
                if (!ref) {
                    problem(describe(ref.error()));
                    i |= kInodesPerBlock - 1;  // the others of this block are as unreadable
                    continue;
                }
                const bool used = (*ref)->mode != 0;
                if (bitmap && used != marked)
                    problem(of(ino) +
                            (used ? " is in use but marked free" : " is free but marked in use"));
                if (used) check_inode(ino, *(*ref).record);
            }
        }
    }

    Result<PageRef> inode_bitmap(Ino base) {
        const ExtentMap map(*core_, *inodes_, kInodeFileIno);
        EXO_TRY_ASSIGN(const Segment extent, map.extent_before(inode_bitmap_index(base) + 1));
        if (extent.count == 0) return fail(EUCLEAN, "the inode file is empty");
        const BlockNo block = extent.disk + (inode_bitmap_index(base) - extent.file_block);
        return journal_->read(block, BlockType::kInodeBitmap, 0);
    }

    void check_inode(Ino ino, const InodeRecord& record) {
        report_.inodes++;
        Facts& facts = facts_[ino];
        facts.generation = record.generation;
        facts.nlink = record.nlink;
        facts.mode = record.mode;
        if ((record.flags & kInodePinned) != 0) {
            pinned_[ino] = record.generation;
            if (!S_ISREG(record.mode)) problem(of(ino) + " is pinned but no regular file");
        }
        if ((record.flags & kInodeOrphan) != 0) orphans_[ino] = record.generation;
        const auto nodes = check_tree(ino, TreeRoot::kData);
        const auto xattr_nodes = check_tree(ino, TreeRoot::kXattr);
        uint64_t data = 0;
        bool counted = nodes && xattr_nodes;
        if (S_ISREG(record.mode)) {
            const auto blocks = nodes ? check_extents(ino) : std::nullopt;
            counted = counted && blocks;
            data = blocks.value_or(0);
        } else if (S_ISDIR(record.mode)) {
            report_.directories++;
            facts.parent = record.parent;
            if (nodes) check_directory(ino, record.size);
        } else if (S_ISLNK(record.mode)) {
            if (nodes) check_symlink(ino, record.size);
        } else {
            auto empty = Tree(*core_, *inodes_, ino).empty();
            if (empty && !*empty) problem(of(ino) + " is a special file but has content");
        }
        if (counted) check_blocks(ino, *nodes + *xattr_nodes + data, record.blocks);
    }

    void check_directory(Ino ino, uint64_t size) {
        uint64_t count = 0, cookie = kFirstEntryKey - 1;
        const Directory directory(*core_, *inodes_, ino);
        std::vector<std::string> ties;  // names that share the upper part of a key
        uint64_t tie_base = 0;
        for (;;) {
            auto entries = directory.list(cookie, 4096);
            if (!entries) {
                problem(describe(entries.error()));
                return;
            }
            if (entries->empty()) break;
            for (const Entry& entry : *entries) {
                count++;
                cookie = entry.key;
                const uint64_t base = name_key(core_->hash_key, entry.name);
                if (entry.key - base >= kNameTies)
                    problem("entry \"" + entry.name + "\" of directory " + std::to_string(ino) +
                            " has the wrong hash");
                if (base != tie_base) ties.clear();
                tie_base = base;
                if (std::ranges::find(ties, entry.name) != ties.end())
                    problem("directory " + std::to_string(ino) + " has \"" + entry.name +
                            "\" twice");
                ties.push_back(entry.name);
                names_.push_back({ino, entry.ino, entry.type});
            }
        }
        if (count != size)
            problem("directory " + std::to_string(ino) + " has " + std::to_string(count) +
                    " entries but its record says " + std::to_string(size));
    }

    void check_symlink(Ino ino, uint64_t size) {
        uint64_t length = 0, expected = 0;
        bool good = true;
        auto scanned = Tree(*core_, *inodes_, ino)
                           .scan(0, [&](uint64_t key, std::span<const std::byte> piece) {
                               good = good && key == expected++ && !piece.empty() &&
                                      piece.size() <= kSymlinkPieceBytes;
                               length += piece.size();
                               return good;
                           });
        if (!scanned || !good || length != size || length == 0 || length > 4095)
            problem("symlink " + std::to_string(ino) + " has a malformed target");
    }

    void check_links() {
        for (const auto& [dir, ino, type] : names_) {
            auto it = facts_.find(ino);
            if (it == facts_.end()) {
                problem("directory " + std::to_string(dir) + " names " + of(ino) +
                        ", which is not in use");
                continue;
            }
            Facts& facts = it->second;
            facts.entries++;
            if ((facts.mode & S_IFMT) != type)
                problem("directory " + std::to_string(dir) + " names " + of(ino) +
                        " with another type than it has");
            if (S_ISDIR(facts.mode)) {
                if (facts.found_in != 0 || ino == kRootIno)
                    problem("directory " + std::to_string(ino) + " has more than one name");
                facts.found_in = dir;
                facts_[dir].children++;
            }
        }
        for (const auto& [ino, facts] : facts_) {
            const bool listed = orphans_.contains(ino);
            if (S_ISDIR(facts.mode)) {
                const bool root = ino == kRootIno;
                if (root ? facts.parent != kRootIno
                         : facts.found_in != 0 && facts.parent != facts.found_in)
                    problem("directory " + std::to_string(ino) +
                            " does not point back to where it is");
                const bool named = root || facts.found_in != 0;
                const uint32_t links = named ? 2 + facts.children : 0;
                if (facts.nlink != links)
                    problem("directory " + std::to_string(ino) + " has " + std::to_string(links) +
                            " links but its record says " + std::to_string(facts.nlink));
                if (!named && !listed)
                    problem("directory " + std::to_string(ino) + " has no name and is no orphan");
                if (named && !root) check_reachable(ino);
            } else {
                if (facts.nlink != facts.entries)
                    problem(of(ino) + " has " + std::to_string(facts.entries) +
                            " links but its record says " + std::to_string(facts.nlink));
                if (facts.entries == 0 && !listed)
                    problem(of(ino) + " has no name and is no orphan");
            }
        }
        auto root = facts_.find(kRootIno);
        if (root == facts_.end() || !S_ISDIR(root->second.mode))
            problem("there is no root directory");
    }

    // Directories in a circle have names and links but do not lead to the root.
    void check_reachable(Ino ino) {
        Ino slow = ino, fast = ino;
        auto up = [&](Ino at) {
            auto it = facts_.find(at);
            return it == facts_.end() ? Ino(0) : it->second.found_in;
        };
        while (fast != 0 && fast != kRootIno) {
            fast = up(fast);
            if (fast == 0 || fast == kRootIno) break;
            fast = up(fast);
            slow = up(slow);
            if (fast != 0 && fast == slow) {
                problem("directory " + std::to_string(ino) + " is in a circle of directories");
                return;
            }
        }
    }

    void check_index(Ino index, const char* name, const std::unordered_map<Ino, uint32_t>& flags) {
        auto items = InodeIndex(*core_, *inodes_, index).list();
        if (!items) {
            problem("the " + std::string(name) + " is damaged: " + describe(items.error()));
            return;
        }
        (index == kPinIndexIno ? report_.pins : report_.orphans) = items->size();
        size_t matched = 0;
        for (const auto& item : *items) {
            auto it = flags.find(item.ino);
            if (it == flags.end() || it->second != item.generation)
                problem("the " + std::string(name) + " names " + of(item.ino) + " generation " +
                        std::to_string(item.generation) + ", which is not flagged so");
            else
                matched++;
        }
        if (matched < flags.size())
            problem(std::to_string(flags.size() - matched) + " inodes are flagged but not in the " +
                    name);
    }

    void check_bitmaps() {
        for (uint64_t group = 0; group < group_count(superblock_.size_blocks); group++) {
            auto page = journal_->read(bitmap_place(group), BlockType::kBitmap, 0);
            if (!page) {
                problem(describe(page.error()));
                continue;
            }
            const uint8_t* bits = (*page)->as<BitmapBlock>()->bits;
            const uint64_t base = group * kGroupBlocks;
            uint64_t lost = 0, first_lost = 0, shared = 0, first_shared = 0;
            for (uint64_t i = 0; i < kGroupBlocks; i++) {
                const bool marked = bit_test(bits, i);
                const BlockNo block = base + i;
                if (block >= superblock_.size_blocks) {
                    if (!marked) {
                        problem("the bitmap of group " + std::to_string(group) +
                                " marks blocks past the end as free");
                        break;
                    }
                    continue;
                }
                const bool used = used_[block / 64] >> (block % 64) & 1;
                report_.used_blocks += used;
                report_.free_blocks += !used;
                if (marked && !used && lost++ == 0) first_lost = block;
                if (!marked && used && shared++ == 0) first_shared = block;
            }
            if (lost > 0)
                problem(std::to_string(lost) + " blocks of group " + std::to_string(group) +
                        " are marked used but nothing uses them (the first: block " +
                        std::to_string(first_lost) + ")");
            if (shared > 0)
                problem(std::to_string(shared) + " blocks of group " + std::to_string(group) +
                        " are in use but marked free (the first: block " +
                        std::to_string(first_shared) + ")");
        }
    }

    struct Name {
        Ino dir, ino;
        uint32_t type;
    };
    BlockDevice& device_;
    const FsckOptions& options_;
    Superblock superblock_;
    std::unique_ptr<Journal> journal_;
    std::unique_ptr<Allocator> allocator_;
    std::unique_ptr<Core> core_;
    std::unique_ptr<InodeTable> inodes_;
    FsckReport report_;
    std::vector<uint64_t> used_;  // a bit per block
    std::unordered_map<Ino, Facts> facts_;
    std::vector<Name> names_;
    std::unordered_map<Ino, uint32_t> pinned_, orphans_;
};

}  // namespace

Result<FsckReport> fsck_check(BlockDevice& device, const FsckOptions& options) {
    return Checker(device, options).run();
}

}  // namespace exo
