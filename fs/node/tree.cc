// SPDX-License-Identifier: MIT
#include "fs/node/tree.h"

#include <cstring>

namespace exo {

namespace {
// Below this use a node tries to join a neighbour, if both together then leave a quarter free.
constexpr size_t kLowBytes = kBodyBytes / 4;
constexpr size_t kJoinedBytes = kBodyBytes * 3 / 4;

void copy_record(const TreeNodeView& node, unsigned index, Tree::Record& out) {
    const auto value = node.value(index);
    out.key = node.key(index);
    out.length = value.size();
    if (!value.empty()) memcpy(out.bytes.data(), value.data(), value.size());
}

std::unexpected<Error> malformed(Ino ino) {
    return fail(EUCLEAN,
                "the tree of inode " + std::to_string(ino) + " is malformed: run fsck.exo");
}
}  // namespace

Result<Tree::Node> Tree::root() const {
    EXO_TRY_ASSIGN(InodeTable::Ref ref, inodes_.read(ino_));
    const std::byte* area = root_ == TreeRoot::kData ? ref->data_root : ref->xattr_root;
    return Node{std::move(ref.page), 0, TreeNodeView(area, root_capacity())};
}

Result<Tree::Node> Tree::load(BlockNo block) const {
    EXO_TRY_ASSIGN(PageRef page, core_.journal.read(block, BlockType::kTreeNode, ino_));
    const std::byte* area = page->as<TreeBlock>()->area;
    return Node{std::move(page), block, TreeNodeView(area, kBodyBytes)};
}

Result<Tree::Node> Tree::child(const Node& parent, unsigned index) const {
    EXO_TRY_ASSIGN(Node node, load(parent.view.child(index)));
    // Levels fall with every step, so no damage can make a walk endless.
    if (node.view.level() + 1 != parent.view.level() || node.view.count() == 0)
        return malformed(ino_);
    return node;
}

Result<std::vector<Tree::Step>> Tree::descend(uint64_t key) const {
    std::vector<Step> path;
    EXO_TRY_ASSIGN(Node node, root());
    while (node.view.level() > 0) {
        const unsigned index = node.view.child_index(key);
        path.push_back({node.block, index});
        // Not child(): within an insert a node may still be empty.
        const unsigned level = node.view.level();
        EXO_TRY_ASSIGN(Node next, load(node.view.child(index)));
        if (next.view.level() + 1 != level) return malformed(ino_);
        node = std::move(next);
    }
    path.push_back({node.block, node.view.lower_bound(key)});
    return path;
}

Result<bool> Tree::find(uint64_t key, Record& out) const {
    EXO_TRY_ASSIGN(Node node, root());
    while (node.view.level() > 0) {
        EXO_TRY_ASSIGN(Node next, child(node, node.view.child_index(key)));
        node = std::move(next);
    }
    const unsigned index = node.view.lower_bound(key);
    if (index == node.view.count() || node.view.key(index) != key) return false;
    copy_record(node.view, index, out);
    return true;
}

Result<bool> Tree::floor(uint64_t key, Record& out) const {
    EXO_TRY_ASSIGN(Node node, root());
    std::vector<std::pair<Node, unsigned>> path;
    while (node.view.level() > 0) {
        const unsigned index = node.view.child_index(key);
        EXO_TRY_ASSIGN(Node next, child(node, index));
        path.emplace_back(std::move(node), index);
        node = std::move(next);
    }
    if (const unsigned above = node.view.upper_bound(key); above > 0) {
        copy_record(node.view, above - 1, out);
        return true;
    }
    // Everything in this leaf is larger: the last record of the subtree to the left is it.
    while (!path.empty() && path.back().second == 0) path.pop_back();
    if (path.empty()) return false;
    EXO_TRY_ASSIGN(node, child(path.back().first, path.back().second - 1));
    while (node.view.level() > 0) {
        EXO_TRY_ASSIGN(Node next, child(node, node.view.count() - 1));
        node = std::move(next);
    }
    copy_record(node.view, node.view.count() - 1, out);
    return out.key <= key ? Result<bool>(true) : malformed(ino_);
}

Result<> Tree::scan(uint64_t from, const Visitor& visit) const {
    for (;;) {
        EXO_TRY_ASSIGN(Node node, root());
        bool more = false;
        uint64_t next_from = 0;  // lower bound of what is right of the leaf
        while (node.view.level() > 0) {
            const unsigned index = node.view.child_index(from);
            if (index + 1 < node.view.count()) {
                more = true;
                next_from = node.view.key(index + 1);
            }
            EXO_TRY_ASSIGN(Node next, child(node, index));
            node = std::move(next);
        }
        for (unsigned i = node.view.lower_bound(from); i < node.view.count(); i++)
            if (!visit(node.view.key(i), node.view.value(i))) return {};
        if (!more) return {};
        if (next_from <= from) return malformed(ino_);
        from = next_from;
    }
}

Result<bool> Tree::empty() const {
    EXO_TRY_ASSIGN(Node node, root());
    return node.view.level() == 0 && node.view.count() == 0;
}

// -- changes

Result<TreeNodeEditor> Tree::edit(Handle& handle, BlockNo block) {
    if (block == 0) {
        EXO_TRY_ASSIGN(InodeRecord * record, inodes_.modify(handle, ino_));
        return TreeNodeEditor(root_ == TreeRoot::kData ? record->data_root : record->xattr_root,
                              root_capacity());
    }
    EXO_TRY_ASSIGN(Page * page, core_.journal.modify(handle, block, BlockType::kTreeNode, ino_));
    return TreeNodeEditor(page->as<TreeBlock>()->area, kBodyBytes);
}

Result<BlockNo> Tree::new_node(Handle& handle) {
    EXO_TRY_ASSIGN(const BlockNo block, core_.allocator.allocate_block(handle, 0, purpose_));
    EXO_TRY(core_.journal.create(handle, block, BlockType::kTreeNode, ino_));
    EXO_TRY_ASSIGN(InodeRecord * record, inodes_.modify(handle, ino_));
    record->blocks = record->blocks + 1;
    return block;
}

Result<> Tree::free_node(Handle& handle, BlockNo block) {
    EXO_TRY(core_.allocator.free(handle, {block, 1}, true));
    EXO_TRY_ASSIGN(InodeRecord * record, inodes_.modify(handle, ino_));
    record->blocks = record->blocks - 1;
    return {};
}

// The root's content moves into a block of its own, one level down.
Result<> Tree::push_down(Handle& handle) {
    EXO_TRY_ASSIGN(const BlockNo block, new_node(handle));
    EXO_TRY_ASSIGN(TreeNodeEditor below, edit(handle, block));
    EXO_TRY_ASSIGN(TreeNodeEditor top, edit(handle, 0));
    if (top.level() >= kMaxTreeLevel) return malformed(ino_);
    below.reset(top.level());
    top.move_tail(0, below);
    top.reset(below.level() + 1);
    top.insert_child(0, 0, block);
    return {};
}

// REQUIRES: the parent has room for one more child
Result<> Tree::split(Handle& handle, BlockNo parent_block, BlockNo block, uint64_t key) {
    EXO_TRY_ASSIGN(const BlockNo right_block, new_node(handle));
    EXO_TRY_ASSIGN(TreeNodeEditor left, edit(handle, block));
    EXO_TRY_ASSIGN(TreeNodeEditor right, edit(handle, right_block));
    EXO_TRY_ASSIGN(TreeNodeEditor parent, edit(handle, parent_block));
    right.reset(left.level());
    const unsigned count = left.count();
    uint64_t separator = key;
    if (key > left.key(count - 1)) {
        // Growing at the end, as files and logs do: leave the left node full.
        if (left.level() > 0) {
            left.move_tail(count - 1, right);
            separator = right.key(0);
        }
    } else {
        size_t bytes = 0;
        unsigned middle = 0;
        while (middle < count - 1 && bytes < kBodyBytes / 2)
            bytes += sizeof(TreeSlot) + left.value(middle++).size();
        if (middle == 0) return malformed(ino_);
        left.move_tail(middle, right);
        separator = right.key(0);
    }
    const unsigned at = parent.lower_bound(separator);
    if (at < parent.count() && parent.key(at) == separator) return malformed(ino_);
    parent.insert_child(at, separator, right_block);
    return {};
}

Result<> Tree::insert(Handle& handle, uint64_t key, std::span<const std::byte> value) {
    if (value.size() > kMaxTreeValueBytes) return fail(E2BIG);
    for (unsigned round = 0; round < 4 * kMaxTreeLevel; round++) {
        EXO_TRY_ASSIGN(const std::vector<Step> path, descend(key));
        EXO_TRY_ASSIGN(TreeNodeEditor leaf, edit(handle, path.back().block));
        const unsigned index = path.back().index;
        if (index < leaf.count() && leaf.key(index) == key)
            return fail(EEXIST, "the tree of inode " + std::to_string(ino_) +
                                    " has this key already: run fsck.exo");
        if (leaf.has_room(value.size())) {
            leaf.insert(index, key, value);
            return {};
        }
        // Make room: split the lowest node whose parent can take one more, then look again.
        size_t full = path.size() - 1;
        while (full > 0) {
            EXO_TRY_ASSIGN(TreeNodeEditor parent, edit(handle, path[full - 1].block));
            if (parent.has_room(sizeof(le64))) break;
            full--;
        }
        if (full == 0)
            EXO_TRY(push_down(handle));
        else
            EXO_TRY(split(handle, path[full - 1].block, path[full].block, key));
    }
    return malformed(ino_);
}

Result<> Tree::overwrite(Handle& handle, uint64_t key, std::span<const std::byte> value) {
    EXO_TRY_ASSIGN(const std::vector<Step> path, descend(key));
    EXO_TRY_ASSIGN(TreeNodeEditor leaf, edit(handle, path.back().block));
    const unsigned index = path.back().index;
    if (index == leaf.count() || leaf.key(index) != key || leaf.value(index).size() != value.size())
        return malformed(ino_);
    leaf.overwrite(index, value);
    return {};
}

void Tree::remove_child(TreeNodeEditor& parent, unsigned index) {
    const uint64_t bound = parent.key(index);
    parent.erase(index);
    if (index == 0 && parent.count() > 0) parent.set_key(0, bound);
}

Result<bool> Tree::erase(Handle& handle, uint64_t key) {
    EXO_TRY_ASSIGN(const std::vector<Step> path, descend(key));
    EXO_TRY_ASSIGN(TreeNodeEditor leaf, edit(handle, path.back().block));
    const unsigned index = path.back().index;
    if (index == leaf.count() || leaf.key(index) != key) return false;
    leaf.erase(index);
    EXO_TRY(shrink(handle, path));
    return true;
}

// Frees empty nodes on the path and joins sparse ones with a neighbour, from the leaf up.
Result<> Tree::shrink(Handle& handle, const std::vector<Step>& path) {
    for (size_t i = path.size() - 1; i > 0; i--) {
        EXO_TRY_ASSIGN(TreeNodeEditor node, edit(handle, path[i].block));
        if (node.count() > 0 && node.used_bytes() >= kLowBytes) break;
        EXO_TRY_ASSIGN(TreeNodeEditor parent, edit(handle, path[i - 1].block));
        const unsigned at = path[i - 1].index;
        if (node.count() == 0) {
            remove_child(parent, at);
            EXO_TRY(free_node(handle, path[i].block));
            continue;
        }
        bool joined = false;
        for (const unsigned left_at : {at, at - 1}) {
            if (left_at >= parent.count() || left_at + 1 >= parent.count()) continue;
            const BlockNo left_block = parent.child(left_at),
                          right_block = parent.child(left_at + 1);
            EXO_TRY_ASSIGN(Node other, load(left_at == at ? right_block : left_block));
            if (other.view.level() != node.level()) return malformed(ino_);
            if (other.view.used_bytes() + node.used_bytes() > kJoinedBytes) continue;
            EXO_TRY_ASSIGN(TreeNodeEditor left, edit(handle, left_block));
            EXO_TRY_ASSIGN(TreeNodeEditor right, edit(handle, right_block));
            right.move_tail(0, left);
            remove_child(parent, left_at + 1);
            EXO_TRY(free_node(handle, right_block));
            joined = true;
            break;
        }
        if (!joined) break;
    }
    return pull_up(handle);
}

// A root with a single small child takes its content back.
Result<> Tree::pull_up(Handle& handle) {
    for (;;) {
        EXO_TRY_ASSIGN(Node top, root());
        if (top.view.level() == 0 || top.view.count() > 1) return {};
        EXO_TRY_ASSIGN(TreeNodeEditor editor, edit(handle, 0));
        if (editor.count() == 0) {
            editor.reset(0);
            return {};
        }
        const BlockNo block = editor.child(0);
        EXO_TRY_ASSIGN(Node below, load(block));
        if (below.view.level() + 1 != editor.level()) return malformed(ino_);
        if (below.view.used_bytes() > root_capacity()) return {};
        editor.reset(below.view.level());
        for (unsigned i = 0; i < below.view.count(); i++)
            editor.insert(i, below.view.key(i), below.view.value(i));
        EXO_TRY(free_node(handle, block));
    }
}

}  // namespace exo
