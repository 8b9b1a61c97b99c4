// SPDX-License-Identifier: MIT
// A B+-tree of small values under 64-bit keys, rooted inside an inode record. It holds extents,
// directory entries, symlink targets and the system indexes. A small tree lies in the record alone.
//
// Invariants (fsck checks them): the keys below entry i of an inner node are in [key i, key i+1),
// the first key of an inner node is the lower bound of the node, levels fall by one, and no node
// but the root is empty.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "fs/node/inode_table.h"

namespace exo {

enum class TreeRoot { kData, kXattr };

class Tree {
  public:
    Tree(const Core& core, InodeTable& inodes, Ino ino, Purpose purpose = Purpose::kMetadata,
         TreeRoot root = TreeRoot::kData)
        : core_(core), inodes_(inodes), ino_(ino), purpose_(purpose), root_(root) {}

    struct Record {
        uint64_t key = 0;
        size_t length = 0;
        std::array<std::byte, kMaxTreeValueBytes> bytes;
        std::span<const std::byte> value() const { return {bytes.data(), length}; }
    };

    // REQUIRES for all: reader or handle held. False: there is no such record.
    Result<bool> find(uint64_t key, Record& out) const;
    Result<bool> floor(uint64_t key, Record& out) const;  // the last record with a key <= key
    using Visitor = std::function<bool(uint64_t key, std::span<const std::byte> value)>;
    // Records from the first with key >= from on, until the visitor returns false.
    Result<> scan(uint64_t from, const Visitor& visit) const;

    // EEXIST (EUCLEAN in effect) when the key is taken.
    Result<> insert(Handle& handle, uint64_t key, std::span<const std::byte> value);
    // Gives an existing record a value of the same length.
    Result<> overwrite(Handle& handle, uint64_t key, std::span<const std::byte> value);
    Result<bool> erase(Handle& handle, uint64_t key);

    Result<bool> empty() const;

  private:
    struct Node {
        PageRef page;
        BlockNo block;  // 0: the root
        TreeNodeView view;
    };
    struct Step {
        BlockNo block;
        unsigned index;  // of the entry descended into, or of the lower bound in the leaf
    };
    size_t root_capacity() const {
        return root_ == TreeRoot::kData ? kDataRootBytes : kXattrRootBytes;
    }
    Result<Node> root() const;
    Result<Node> load(BlockNo block) const;
    Result<Node> child(const Node& parent, unsigned index) const;
    Result<std::vector<Step>> descend(uint64_t key) const;
    Result<TreeNodeEditor> edit(Handle& handle, BlockNo block);
    Result<BlockNo> new_node(Handle& handle);
    Result<> free_node(Handle& handle, BlockNo block);
    Result<> push_down(Handle& handle);
    Result<> split(Handle& handle, BlockNo parent, BlockNo block, uint64_t key);
    Result<> shrink(Handle& handle, const std::vector<Step>& path);
    Result<> pull_up(Handle& handle);
    static void remove_child(TreeNodeEditor& parent, unsigned index);

    const Core& core_;
    InodeTable& inodes_;
    Ino ino_;
    Purpose purpose_;
    TreeRoot root_;
};

}  // namespace exo
