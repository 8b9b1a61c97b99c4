// SPDX-License-Identifier: MIT
// One node of a tree: sorted slots growing up, values growing down, in an area of any size. The
// same code serves a whole block's body and the small root inside an inode record. An all-zero area
// is an empty leaf. Keys are unique; values are opaque bytes (a child's address in inner nodes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/format/block.h"

namespace exo {

inline constexpr size_t kMaxTreeValueBytes = 1024;
inline constexpr unsigned kMaxTreeLevel = 12;

struct TreeNodeHead {
    uint8_t level;  // 0: leaf
    uint8_t reserved;
    le16 count;       // slots
    le16 heap_bytes;  // values, tightly packed at the end of the area
    le16 reserved2;
};
struct TreeSlot {
    le64 key;
    le16 offset;  // of the value, from the start of the area
    le16 length;
};
static_assert(sizeof(TreeNodeHead) == 8 && std::has_unique_object_representations_v<TreeNodeHead>);
static_assert(sizeof(TreeSlot) == 12 && std::has_unique_object_representations_v<TreeSlot>);

class TreeNodeView {
  public:
    TreeNodeView(const std::byte* area, size_t capacity)
        : area_(const_cast<std::byte*>(area)), capacity_(capacity) {}

    unsigned level() const { return head()->level; }
    unsigned count() const { return head()->count; }
    uint64_t key(unsigned i) const { return slots()[i].key; }
    std::span<const std::byte> value(unsigned i) const {
        return {area_ + slots()[i].offset, slots()[i].length};
    }
    uint64_t child(unsigned i) const;  // REQUIRES: level() > 0
    size_t used_bytes() const {
        return sizeof(TreeNodeHead) + sizeof(TreeSlot) * count() + head()->heap_bytes;
    }
    size_t free_bytes() const { return capacity_ - used_bytes(); }
    bool has_room(size_t value_bytes) const {
        return free_bytes() >= sizeof(TreeSlot) + value_bytes;
    }
    // Index of the first slot with a key >= (lower) or > (upper) the given one; count() if none.
    unsigned lower_bound(uint64_t key) const;
    unsigned upper_bound(uint64_t key) const;
    // The child to descend into: the first one also covers smaller keys. REQUIRES: count() > 0
    unsigned child_index(uint64_t key) const {
        unsigned i = upper_bound(key);
        return i == 0 ? 0 : i - 1;
    }

    // True if the area is a well-formed node.
    static bool valid(const std::byte* area, size_t capacity);

  protected:
    const TreeNodeHead* head() const { return reinterpret_cast<const TreeNodeHead*>(area_); }
    const TreeSlot* slots() const {
        return reinterpret_cast<const TreeSlot*>(area_ + sizeof(TreeNodeHead));
    }
    std::byte* area_;
    size_t capacity_;
};

class TreeNodeEditor : public TreeNodeView {
  public:
    TreeNodeEditor(std::byte* area, size_t capacity) : TreeNodeView(area, capacity) {}

    void reset(unsigned level);
    // REQUIRES: has_room(value.size()), no such key yet, index from lower_bound
    void insert(unsigned index, uint64_t key, std::span<const std::byte> value);
    void insert_child(unsigned index, uint64_t key, BlockNo child);
    void erase(unsigned index);
    // REQUIRES: same length as before
    void overwrite(unsigned index, std::span<const std::byte> value);
    void set_key(unsigned index, uint64_t key) { slots()[index].key = key; }
    // Moves slots [from, count) to the end of `other`. REQUIRES: they fit, and sort after its own
    void move_tail(unsigned from, TreeNodeEditor& other);

  private:
    TreeNodeHead* head() { return reinterpret_cast<TreeNodeHead*>(area_); }
    TreeSlot* slots() { return reinterpret_cast<TreeSlot*>(area_ + sizeof(TreeNodeHead)); }
};

}  // namespace exo
