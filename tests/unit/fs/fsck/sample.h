// SPDX-License-Identifier: MIT
// A volume with something of everything, what its files contain, and ways to damage it.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "fs/format/inode.h"
#include "tests/support/volume_fixture.h"

namespace exo::test {

// By path: type, size, content or target, attributes.
using Contents = std::map<std::string, std::string>;

struct Sample {
    MemoryDevice image{32u << 20};
    Contents contents;
    std::map<std::string, Ino> inos;
};
const Sample& sample();  // unmounted cleanly

Contents contents_of(BlockDevice& device);

// Looks at a volume's blocks directly; it must be sound.
class Surgeon {
  public:
    explicit Surgeon(MemoryDevice& device) : device_(device) {}

    MutablePageRef get(BlockNo block) const;
    // Changes a block and puts its checksum right.
    void change(BlockNo block, const std::function<void(Page&)>& how);
    void change_record(Ino ino, const std::function<void(InodeRecord&)>& how);
    void ruin(BlockNo block);  // its checksum is wrong then

    InodeRecord record(Ino ino) const;
    BlockNo record_block(Ino ino) const;
    BlockNo bitmap_block(Ino ino) const;
    struct Node {
        BlockNo block;
        unsigned level;
    };
    std::vector<Node> nodes(Ino ino, bool xattr = false) const;  // parents first
    BlockNo leaf(Ino ino, size_t which = 0) const;
    // Changes the first value of a tree for which `how` says that it did.
    void change_value(Ino ino,
                      const std::function<bool(uint64_t key, std::byte* value, size_t)>& how,
                      bool xattr = false);
    std::vector<std::pair<uint64_t, ExtentValue>> extents(Ino ino) const;

  private:
    BlockNo inode_file_block(uint64_t index) const;
    void add_nodes(const TreeNodeView& node, std::vector<Node>& out) const;
    MemoryDevice& device_;
};

}  // namespace exo::test
