// SPDX-License-Identifier: MIT
// Trees that may be damaged: walking what is left of one, and writing one anew.
#pragma once

#include <functional>
#include <span>

#include "fs/fsck/check.h"
#include "fs/node/tree.h"

namespace exo::fsck {

struct TreeVisitor {
    // A node's block, before it is entered. False: it is somebody else's, do not enter.
    std::function<bool(BlockNo)> node;
    std::function<void(uint64_t key, std::span<const std::byte> value)> record;
};

struct TreeOutcome {
    uint64_t nodes = 0;
    std::vector<KeyRange> lost;  // parts that cannot be reached
    std::string why;             // of the first of them
    bool sound() const { return lost.empty(); }
};

// Records in the order of their keys. The record may be changed meanwhile. Ends for any content.
TreeOutcome walk_tree(Check& check, Ino ino, const InodeRecord& record, TreeRoot root,
                      const TreeVisitor& visitor);

struct TreeRecord {
    uint64_t key;
    std::vector<std::byte> value;
};

// Writes a tree of these records (ascending keys) to new blocks and its root into the area.
// Returns how many blocks. ENOSPC changes nothing.
Result<uint64_t> build_tree(Check& check, Ino ino, std::span<const TreeRecord> records,
                            std::byte* root_area, size_t root_capacity);

// All that can be reached, with the blocks of nodes.
struct TreeContent {
    std::vector<TreeRecord> records;
    std::vector<BlockNo> nodes;
};
TreeContent read_tree(Check& check, Ino ino, const InodeRecord& record, TreeRoot root);

// Replaces one tree of an inode: new nodes, the old ones given up, the record's block count
// adjusted for nodes alone.
Result<> replace_tree(Check& check, Ino ino, TreeRoot root, std::span<const TreeRecord> records);

// Changes one value for another of the same length, or removes a record, in place where that is
// possible. REQUIRES: the tree is sound
Result<> overwrite_record(Check& check, Ino ino, uint64_t key, std::span<const std::byte> value);
Result<> erase_record(Check& check, Ino ino, uint64_t key);

}  // namespace exo::fsck
