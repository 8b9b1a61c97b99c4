// SPDX-License-Identifier: MIT
// Pass 9: how everything hangs together: directories in loops, what has no name, `..`, link counts.
#include <time.h>

#include <algorithm>
#include <cstring>

#include "fs/fsck/entries.h"
#include "fs/fsck/trees.h"

namespace exo::fsck {

namespace {

constexpr const char* kLostFound = "lost+found";
constexpr uint8_t kDirType = S_IFDIR >> 12;

class LinkPass {
  public:
    explicit LinkPass(Check& check) : c_(check) {}

    Result<> run() {
        EXO_TRY(find_loops());
        find_unnamed();
        EXO_TRY(c_.pause(92));
        if (!unnamed_.empty()) EXO_TRY(attach());
        EXO_TRY(count_links());
        return {};
    }

  private:
    // Every directory must lead to the root. The walk from each stops where an earlier one was.
    Result<> find_loops() {
        std::unordered_map<Ino, Ino> seen;  // by the walk that started at
        for (auto& [start, unused] : c_.directories) {
            for (Ino at = start; at != kRootIno;) {
                auto it = c_.directories.find(at);
                if (it == c_.directories.end()) break;
                const auto [before, fresh] = seen.try_emplace(at, start);
                if (!fresh) {
                    if (before->second == start) EXO_TRY(open_loop(at));
                    break;
                }
                if (it->second.found_in == 0) break;
                at = it->second.found_in;
            }
        }
        return {};
    }

    Result<> open_loop(Ino ino) {
        DirFacts& facts = c_.directories[ino];
        if (!c_.problems.found(Damage::kDirectoryLoop, "directory " + std::to_string(ino) +
                                                           " is in a circle of directories"))
            return {};
        EXO_TRY(change_entries(c_, facts.found_in, {facts.found_key}, {}));
        c_.directories[facts.found_in].subdirs--;
        facts.found_in = 0;
        c_.facts(ino).names = 0;
        from_loop_.insert(ino);
        return {};
    }

    void find_unnamed() {
        const Ino limit = c_.inode_limit();
        for (Ino ino = kFirstFreeIno; ino < limit; ino++) {
            const InodeFacts& facts = c_.facts(ino);
            if (facts.type == 0 || facts.names > 0) continue;
            const bool deleted = (facts.flags & kInodeOrphan) != 0 && facts.nlink == 0 &&
                                 (facts.type != kDirType || c_.directories[ino].entries == 0);
            if (deleted && !from_loop_.contains(ino)) continue;
            if (from_loop_.contains(ino) ||
                c_.problems.found(
                    Damage::kUnnamed,
                    (facts.type == kDirType ? "directory " + std::to_string(ino) : of(ino)) +
                        " has no name and is no orphan"))
                unnamed_.push_back(ino);
        }
    }

    Result<> attach() {
        EXO_TRY_ASSIGN(const Ino home, lost_found());
        std::vector<NewEntry> added;
        for (Ino ino : unnamed_) {
            if (ino == home) continue;
            added.push_back({"#" + std::to_string(ino), ino, c_.facts(ino).type});
        }
        if (auto done = change_entries(c_, home, {}, added); !done) {
            if (done.error().code != ENOSPC) return done;
            (void)c_.problems.found(Damage::kUnnamed, "/lost+found cannot be changed");
            c_.problems.not_repaired("no block is free; remove something and check again");
            return {};
        }
        for (const NewEntry& entry : added) {
            c_.facts(entry.ino).names++;
            if (entry.type != kDirType) continue;
            c_.directories[entry.ino].found_in = home;
            c_.directories[home].subdirs++;
        }
        return {};
    }

    // /lost+found, made if need be; the root if that cannot be.
    Result<Ino> lost_found() {
        if (c_.lost_found != 0 && c_.directories.contains(c_.lost_found)) return c_.lost_found;
        const Ino ino = free_inode();
        if (ino == 0) return kRootIno;
        EXO_TRY_ASSIGN(InodeRecord * record, c_.edit_record(ino));
        uint32_t generation = record->generation + 1;
        if (generation == 0) generation = 1;
        memset(static_cast<void*>(record), 0, sizeof *record);
        record->mode = S_IFDIR | 0700;
        record->nlink = 2;
        record->generation = generation;
        record->parent = kRootIno;
        const int64_t now = time(nullptr);
        record->atime_s = record->mtime_s = record->ctime_s = record->btime_s = now;
        if (auto named = change_entries(c_, kRootIno, {}, {{kLostFound, ino, kDirType}}); !named) {
            memset(static_cast<void*>(record), 0, sizeof *record);
            record->generation = generation;
            return kRootIno;
        }
        c_.facts(ino) = {2, 1, generation, kDirType, 0};
        DirFacts& facts = c_.directories[ino];
        facts.parent = facts.found_in = kRootIno;
        c_.directories[kRootIno].subdirs++;
        c_.report.inodes++;
        c_.report.directories++;
        return ino;
    }

    Ino free_inode() {
        for (Ino ino = kFirstFreeIno; ino < c_.inode_limit(); ino++)
            if (c_.facts(ino).type == 0) return ino;
        // One more block of records, if the inode file has room.
        const uint64_t index = c_.inode_file.size;
        const BlockNo block = c_.inode_file.place(index);
        if (block == 0 || index % kInodeGroupBlocks == 0) return 0;
        auto file = c_.edit_record(kInodeFileIno);
        if (!file) return 0;
        const Ino ino = c_.inode_limit();
        c_.image->create(block, BlockType::kInodes, 0);
        c_.inode_file.size = index + 1;
        (*file)->size = index + 1;
        return ino;
    }

    Result<> count_links() {
        const Ino limit = c_.inode_limit();
        for (Ino ino = kRootIno; ino < limit; ino++) {
            const InodeFacts& facts = c_.facts(ino);
            if (facts.type == 0) continue;
            uint32_t links = facts.names;
            std::string what = of(ino);
            if (facts.type == kDirType) {
                const DirFacts& dir = c_.directories[ino];
                what = "directory " + std::to_string(ino);
                const bool root = ino == kRootIno;
                links = root || dir.found_in != 0 ? 2 + dir.subdirs : 0;
                const Ino parent = root ? kRootIno : dir.found_in;
                if (parent != 0 && dir.parent != parent &&
                    c_.problems.found(Damage::kParent,
                                      what + " does not point back to where it is")) {
                    EXO_TRY_ASSIGN(InodeRecord * record, c_.edit_record(ino));
                    record->parent = parent;
                }
            }
            if (facts.nlink != links &&
                c_.problems.found(Damage::kLinks, what + " has " + std::to_string(links) +
                                                      " links but its record says " +
                                                      std::to_string(facts.nlink))) {
                EXO_TRY_ASSIGN(InodeRecord * record, c_.edit_record(ino));
                record->nlink = links;
            }
            if ((facts.flags & kInodeOrphan) != 0 && links > 0 && facts.type != S_IFREG >> 12 &&
                c_.problems.found(Damage::kFlags, what + " has a name but is flagged as orphan")) {
                EXO_TRY_ASSIGN(InodeRecord * record, c_.edit_record(ino));
                record->flags = record->flags & ~kInodeOrphan;
                c_.orphans.erase(ino);
            }
        }
        return {};
    }

    Check& c_;
    std::vector<Ino> unnamed_;
    std::set<Ino> from_loop_;
};

}  // namespace

Result<> check_links(Check& check) {
    return LinkPass(check).run();
}

}  // namespace exo::fsck
