// SPDX-License-Identifier: MIT
// What the passes of fsck share: the volume as it is being repaired, who uses which block, and what
// is known of each inode. The passes follow each other in the order declared here.
// Memory: 2 bits per block of the groups in use, 16 bytes per inode, about 150 per directory, 8 MiB
// of buffers; what is damaged adds a page per block that its repair writes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "fs/format/inode.h"
#include "fs/fsck/image.h"
#include "fs/fsck/problems.h"
#include "fs/fsck/space.h"

namespace exo::fsck {

// Where the inode file's blocks are.
struct InodeFile {
    struct Extent {
        uint64_t index;
        BlockNo disk;
        uint64_t count;
    };
    std::vector<Extent> extents;  // from index 0 on, without gaps
    uint64_t size = 0;            // initialised blocks
    uint64_t end() const {
        return extents.empty() ? 0 : extents.back().index + extents.back().count;
    }
    BlockNo place(uint64_t index) const;  // 0: nowhere
};

// 16 bytes per inode.
struct InodeFacts {
    uint32_t nlink = 0;  // as recorded
    uint32_t names = 0;  // found
    uint32_t generation = 0;
    uint8_t type = 0;  // mode >> 12; 0: free
    uint8_t flags = 0;
};

struct DirFacts {
    Ino parent = 0;    // as recorded
    Ino found_in = 0;  // where its name is
    uint64_t found_key = 0;
    uint32_t subdirs = 0;
    uint64_t recorded = 0, entries = 0;
};

struct KeyRange {
    uint64_t low, high;  // inclusive
};

// Blocks of a file that another user keeps.
struct Cut {
    uint64_t file_block;
    BlockNo disk;
    bool copy;  // else they become a hole
};

// A tree that has to be written anew.
struct Rework {
    bool data = false, xattr = false;
    std::vector<KeyRange> lost;  // of the data tree: what a search may bring back
    std::vector<Cut> cuts;
};

struct Check {
    Check(BlockDevice& device_, const FsckOptions& options_, FsckReport& report_)
        : device(device_), options(options_), report(report_), problems(options_, report_) {}

    BlockDevice& device;
    const FsckOptions& options;
    FsckReport& report;
    Problems problems;
    Superblock sb{};
    bool writable = false;  // repairs may be written at the end
    std::unique_ptr<Journal> journal;
    std::unique_ptr<Image> image;
    std::unique_ptr<Space> space;     // everything that is used
    std::unique_ptr<Space> metadata;  // of that, what is not file data
    std::unique_ptr<Space> retired;   // given up in this run: not to be used again before it ends
    std::array<uint8_t, 16> hash_key{};
    uint32_t stamp = 0;  // a generation that was not used before, where the old one is lost

    InodeFile inode_file;
    std::map<Ino, DirFacts> directories;
    std::map<Ino, uint32_t> pinned, orphans;  // by their flags, with the generation
    std::map<Ino, Rework> rework;
    std::set<Ino> lost_inodes;             // their records are gone
    std::map<BlockNo, BlockNo> contested;  // runs with more than one user: start, end
    std::unordered_map<Ino, std::vector<BlockNo>> leaves;  // found by the search, by owner
    std::set<BlockNo> rejected;  // nodes in places that are something else's
    Ino lost_found = 0;

    InodeFacts& facts(Ino ino);
    uint64_t inode_limit() const;

    // REQUIRES: ino has a record (or is a system inode)
    Result<InodeRecord> record(Ino ino);
    Result<InodeRecord*> edit_record(Ino ino);

    void claim_metadata(BlockNo start, uint64_t count);
    // A block that nothing used when the run began. ENOSPC.
    Result<BlockNo> allocate();
    // Gives a block up.
    void release(BlockNo start, uint64_t count);
    // The group's bitmap as it is on the device, null when it is damaged.
    PageRef bitmap(uint64_t group);
    bool marked_used(BlockNo block);  // false, too, when its bitmap is damaged

    Result<> pause(unsigned percent);  // progress and cancellation

  private:
    std::optional<BlockNo> find_free(unsigned effort);
    std::vector<std::unique_ptr<std::array<InodeFacts, kInodesPerGroup>>> facts_;
    uint64_t bitmap_group_ = UINT64_MAX;
    PageRef bitmap_;
    BlockNo cursor_ = 0;
    unsigned effort_ = 0;
};

// The primary superblock, or a backup; the backups.
Result<> check_superblocks(Check& check);
Result<> store_superblocks(Check& check);
// The journal is replayed: on the device if the run may write, else in memory.
Result<> check_journal(Check& check);
// The system block, and where the inode file is.
Result<> check_inode_file(Check& check);
// Claims the nodes of the two lists of inodes.
void claim_indexes(Check& check);
// Every record: its fields, its trees, whose blocks it claims.
Result<> check_inodes(Check& check);
// Searches used but unclaimed blocks for leaves of damaged trees and of lost inodes.
Result<> search_lost(Check& check);
// Blocks with several users: who keeps them.
Result<> check_overlaps(Check& check);
// Writes damaged trees anew.
Result<> rebuild_trees(Check& check);
// Every entry of every directory.
Result<> check_directories(Check& check);
// Link counts, loops, what has no name.
Result<> check_links(Check& check);
// The lists of pinned and orphaned inodes, by the flags.
Result<> check_indexes(Check& check);
// Bitmaps of inode numbers and of blocks, by what was found.
Result<> check_bitmaps(Check& check);

}  // namespace exo::fsck
