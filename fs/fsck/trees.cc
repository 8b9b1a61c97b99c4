// SPDX-License-Identifier: MIT
#include "fs/fsck/trees.h"

#include <algorithm>
#include <cstring>

namespace exo::fsck {

namespace {

size_t capacity_of(TreeRoot root) {
    return root == TreeRoot::kData ? kDataRootBytes : kXattrRootBytes;
}
std::byte* area_of(InodeRecord& record, TreeRoot root) {
    return root == TreeRoot::kData ? record.data_root : record.xattr_root;
}
const std::byte* area_of(const InodeRecord& record, TreeRoot root) {
    return root == TreeRoot::kData ? record.data_root : record.xattr_root;
}

class Walk {
  public:
    Walk(Check& check, Ino ino, const TreeVisitor& visitor)
        : c_(check), ino_(ino), visitor_(visitor) {}

    // Recursion is bounded: levels fall by one with each step.
    void enter(const TreeNodeView& node, uint64_t low, uint64_t high) {
        const unsigned count = node.count();
        if (node.level() == 0) {
            if (visitor_.record)
                for (unsigned i = 0; i < count; i++) visitor_.record(node.key(i), node.value(i));
            return;
        }
        if (node.key(0) > low) lose(low, node.key(0) - 1, "an inner node starts too late");
        for (unsigned i = 0; i < count; i++) {
            const uint64_t from = node.key(i), to = i + 1 < count ? node.key(i + 1) - 1 : high;
            child(node.child(i), node.level() - 1, from, to);
        }
    }

    TreeOutcome outcome;

  private:
    void lose(uint64_t low, uint64_t high, const std::string& why) {
        if (outcome.lost.empty()) outcome.why = why;
        if (!outcome.lost.empty() && outcome.lost.back().high + 1 == low)
            outcome.lost.back().high = high;
        else
            outcome.lost.push_back({low, high});
    }

    void child(BlockNo block, unsigned level, uint64_t low, uint64_t high) {
        if (!c_.space->plausible(block, 1))
            return lose(low, high, "a pointer leads to block " + std::to_string(block));
        auto page = c_.image->read(block, BlockType::kTreeNode, ino_);
        if (!page) return lose(low, high, describe(page.error()));
        const TreeNodeView node((*page)->as<TreeBlock>()->area, kBodyBytes);
        if (node.level() != level || node.count() == 0)
            return lose(low, high, "tree block " + std::to_string(block) + " is of another level");
        if (node.key(0) < low || node.key(node.count() - 1) > high)
            return lose(low, high,
                        "tree block " + std::to_string(block) + " has keys out of order");
        if (c_.rejected.contains(block) || (visitor_.node && !visitor_.node(block)))
            return lose(low, high,
                        "tree block " + std::to_string(block) + " is used by something else, too");
        outcome.nodes++;
        enter(node, low, high);
    }

    Check& c_;
    Ino ino_;
    const TreeVisitor& visitor_;
};

// Packs records into nodes of one level; returns first keys and blocks.
class Builder {
  public:
    Builder(Check& check, Ino ino) : c_(check), ino_(ino) {}
    ~Builder() {
        if (done_) return;
        for (BlockNo block : blocks_) {
            c_.image->forget(block);
            c_.space->release(block, 1);
            c_.metadata->release(block, 1);
        }
    }

    Result<> add(unsigned level, uint64_t key, std::span<const std::byte> value) {
        if (!page_ || !node().has_room(value.size() + kSpare)) {
            EXO_TRY_ASSIGN(const BlockNo block, c_.allocate());
            page_ = c_.image->create(block, BlockType::kTreeNode, ino_);
            node().reset(level);
            blocks_.push_back(block);
            firsts_.push_back({key, block});
        }
        node().insert(node().count(), key, value);
        return {};
    }
    struct Child {
        uint64_t key;
        BlockNo block;
    };
    std::vector<Child> finish_level() {
        page_ = nullptr;
        return std::exchange(firsts_, {});
    }
    uint64_t done() {
        done_ = true;
        return blocks_.size();
    }

  private:
    static constexpr size_t kSpare = 300;  // room for a later insert
    TreeNodeEditor node() { return {page_->as<TreeBlock>()->area, kBodyBytes}; }
    Check& c_;
    Ino ino_;
    Page* page_ = nullptr;
    std::vector<Child> firsts_;
    std::vector<BlockNo> blocks_;
    bool done_ = false;
};

// The leaf of a key and the way there. REQUIRES: the tree is sound
struct Leaf {
    BlockNo block;  // 0: the root
    unsigned index, count;
};
Result<Leaf> find_leaf(Check& c, Ino ino, uint64_t key) {
    EXO_TRY_ASSIGN(const InodeRecord record, c.record(ino));
    TreeNodeView node(record.data_root, kDataRootBytes);
    PageRef page;
    BlockNo block = 0;
    while (node.level() > 0) {
        block = node.child(node.child_index(key));
        EXO_TRY_ASSIGN(page, c.image->read(block, BlockType::kTreeNode, ino));
        node = TreeNodeView(page->as<TreeBlock>()->area, kBodyBytes);
    }
    const unsigned index = node.lower_bound(key);
    if (index == node.count() || node.key(index) != key) return fail(EUCLEAN, "an entry is gone");
    return Leaf{block, index, node.count()};
}
Result<TreeNodeEditor> edit_leaf(Check& c, Ino ino, const Leaf& leaf) {
    if (leaf.block == 0) {
        EXO_TRY_ASSIGN(InodeRecord * record, c.edit_record(ino));
        return TreeNodeEditor(record->data_root, kDataRootBytes);
    }
    EXO_TRY_ASSIGN(Page * page, c.image->edit(leaf.block));
    return TreeNodeEditor(page->as<TreeBlock>()->area, kBodyBytes);
}

}  // namespace

TreeOutcome walk_tree(Check& check, Ino ino, const InodeRecord& record, TreeRoot root,
                      const TreeVisitor& visitor) {
    std::byte area[kDataRootBytes];
    memcpy(area, area_of(record, root), capacity_of(root));
    Walk walk(check, ino, visitor);
    if (!TreeNodeView::valid(area, capacity_of(root)))
        return {0, {{0, UINT64_MAX}}, "its root is malformed"};
    walk.enter(TreeNodeView(area, capacity_of(root)), 0, UINT64_MAX);
    return std::move(walk.outcome);
}

Result<uint64_t> build_tree(Check& check, Ino ino, std::span<const TreeRecord> records,
                            std::byte* root_area, size_t root_capacity) {
    size_t bytes = sizeof(TreeNodeHead);
    for (const TreeRecord& record : records) bytes += sizeof(TreeSlot) + record.value.size();
    std::vector<std::byte> area(root_capacity);
    TreeNodeEditor root(area.data(), root_capacity);
    root.reset(0);
    Builder builder(check, ino);
    if (bytes <= root_capacity) {
        for (const TreeRecord& record : records)
            root.insert(root.count(), record.key, record.value);
    } else {
        for (const TreeRecord& record : records) EXO_TRY(builder.add(0, record.key, record.value));
        auto children = builder.finish_level();
        unsigned level = 1;
        while (sizeof(TreeNodeHead) + children.size() * (sizeof(TreeSlot) + sizeof(le64)) >
               root_capacity) {
            children.front().key = 0;  // the lower bound of everything
            for (const auto& child : children) {
                const le64 address(child.block);
                EXO_TRY(builder.add(level, child.key, std::as_bytes(std::span(&address, 1))));
            }
            children = builder.finish_level();
            level++;
        }
        root.reset(level);
        children.front().key = 0;
        for (const auto& child : children) root.insert_child(root.count(), child.key, child.block);
    }
    memcpy(root_area, area.data(), root_capacity);
    return builder.done();
}

TreeContent read_tree(Check& check, Ino ino, const InodeRecord& record, TreeRoot root) {
    TreeContent content;
    const TreeVisitor visitor{[&](BlockNo block) {
                                  content.nodes.push_back(block);
                                  return true;
                              },
                              [&](uint64_t key, std::span<const std::byte> value) {
                                  content.records.push_back({key, {value.begin(), value.end()}});
                              }};
    (void)walk_tree(check, ino, record, root, visitor);
    return content;
}

Result<> replace_tree(Check& check, Ino ino, TreeRoot root, std::span<const TreeRecord> records) {
    EXO_TRY_ASSIGN(const InodeRecord before, check.record(ino));
    const TreeContent old = read_tree(check, ino, before, root);
    std::byte area[kDataRootBytes];
    EXO_TRY_ASSIGN(const uint64_t nodes, build_tree(check, ino, records, area, capacity_of(root)));
    EXO_TRY_ASSIGN(InodeRecord * record, check.edit_record(ino));
    memcpy(area_of(*record, root), area, capacity_of(root));
    record->blocks = record->blocks + nodes - std::min<uint64_t>(record->blocks, old.nodes.size());
    for (BlockNo block : old.nodes) {
        check.image->forget(block);
        check.release(block, 1);
    }
    return {};
}

Result<> overwrite_record(Check& check, Ino ino, uint64_t key, std::span<const std::byte> value) {
    EXO_TRY_ASSIGN(const Leaf leaf, find_leaf(check, ino, key));
    EXO_TRY_ASSIGN(TreeNodeEditor node, edit_leaf(check, ino, leaf));
    node.overwrite(leaf.index, value);
    return {};
}

Result<> erase_record(Check& check, Ino ino, uint64_t key) {
    EXO_TRY_ASSIGN(const Leaf leaf, find_leaf(check, ino, key));
    if (leaf.block == 0 || leaf.count > 1) {
        EXO_TRY_ASSIGN(TreeNodeEditor node, edit_leaf(check, ino, leaf));
        node.erase(leaf.index);
        return {};
    }
    // Its leaf would become empty.
    EXO_TRY_ASSIGN(const InodeRecord record, check.record(ino));
    TreeContent content = read_tree(check, ino, record, TreeRoot::kData);
    std::erase_if(content.records, [&](const TreeRecord& item) { return item.key == key; });
    return replace_tree(check, ino, TreeRoot::kData, content.records);
}

}  // namespace exo::fsck
