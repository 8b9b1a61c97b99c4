// SPDX-License-Identifier: MIT
#include "fs/format/tree_node.h"

#include <algorithm>
#include <cstring>

namespace exo {

uint64_t TreeNodeView::child(unsigned i) const {
    le64 address;
    memcpy(&address, value(i).data(), sizeof address);
    return address;
}

unsigned TreeNodeView::lower_bound(uint64_t key) const {
    const TreeSlot* begin = slots();
    return unsigned(std::partition_point(begin, begin + count(),
                                         [&](const TreeSlot& s) { return s.key < key; }) -
                    begin);
}

unsigned TreeNodeView::upper_bound(uint64_t key) const {
    const TreeSlot* begin = slots();
    return unsigned(std::partition_point(begin, begin + count(),
                                         [&](const TreeSlot& s) { return s.key <= key; }) -
                    begin);
}

bool TreeNodeView::valid(const std::byte* area, size_t capacity) {
    TreeNodeView node(area, capacity);
    const TreeNodeHead* head = node.head();
    if (head->level > kMaxTreeLevel || head->reserved != 0 || head->reserved2 != 0) return false;
    const size_t slots_end = sizeof(TreeNodeHead) + sizeof(TreeSlot) * size_t(head->count);
    if (slots_end > capacity || head->heap_bytes > capacity - slots_end) return false;
    if (head->level > 0 && head->count == 0) return false;
    const size_t heap_start = capacity - head->heap_bytes;
    size_t sum = 0;
    // Every byte of the heap belongs to one value: a bit for each that is taken already.
    constexpr size_t kWordBits = 64;
    uint64_t taken[kBlockBytes / kWordBits];
    const size_t first_word = heap_start / kWordBits;
    memset(taken + first_word, 0,
           ((capacity + kWordBits - 1) / kWordBits - first_word) * sizeof(uint64_t));
    for (unsigned i = 0; i < head->count; i++) {
        const TreeSlot& slot = node.slots()[i];
        if (i > 0 && node.key(i - 1) >= slot.key) return false;
        const size_t from = slot.offset, length = slot.length;
        if (length > kMaxTreeValueBytes || from < heap_start || from > capacity ||
            length > capacity - from)
            return false;
        if (head->level > 0 && length != sizeof(le64)) return false;
        sum += length;
        if (sum > head->heap_bytes) return false;
        for (size_t at = from; at < from + length;) {
            const size_t bit = at % kWordBits, bits = std::min(from + length - at, kWordBits - bit);
            const uint64_t mask = (bits == kWordBits ? ~0ull : (1ull << bits) - 1) << bit;
            uint64_t& word = taken[at / kWordBits];
            if ((word & mask) != 0) return false;
            word |= mask;
            at += bits;
        }
    }
    return sum == head->heap_bytes;
}

void TreeNodeEditor::reset(unsigned level) {
    memset(area_, 0, capacity_);
    head()->level = uint8_t(level);
}

void TreeNodeEditor::insert(unsigned index, uint64_t key, std::span<const std::byte> value) {
    const unsigned n = count();
    const size_t offset = capacity_ - head()->heap_bytes - value.size();
    if (!value.empty()) memcpy(area_ + offset, value.data(), value.size());
    TreeSlot* slot = slots() + index;
    memmove(static_cast<void*>(slot + 1), slot, sizeof(TreeSlot) * (n - index));
    slot->key = key;
    slot->offset = uint16_t(offset);
    slot->length = uint16_t(value.size());
    head()->count = uint16_t(n + 1);
    head()->heap_bytes = uint16_t(head()->heap_bytes + value.size());
}

void TreeNodeEditor::insert_child(unsigned index, uint64_t key, BlockNo child) {
    le64 address(child);
    insert(index, key, std::as_bytes(std::span(&address, 1)));
}

void TreeNodeEditor::erase(unsigned index) {
    const unsigned n = count();
    const size_t offset = slots()[index].offset, length = slots()[index].length;
    const size_t heap_start = capacity_ - head()->heap_bytes;
    if (length > 0) {
        memmove(area_ + heap_start + length, area_ + heap_start, offset - heap_start);
        for (unsigned i = 0; i < n; i++)
            if (slots()[i].offset <= offset)  // equal: an empty value
                slots()[i].offset = uint16_t(slots()[i].offset + length);
    }
    TreeSlot* slot = slots() + index;
    memmove(static_cast<void*>(slot), slot + 1, sizeof(TreeSlot) * (n - index - 1));
    head()->count = uint16_t(n - 1);
    head()->heap_bytes = uint16_t(head()->heap_bytes - length);
    // What is no longer used is zero again: same content, same bytes, and nothing old leaks out.
    memset(area_ + sizeof(TreeNodeHead) + sizeof(TreeSlot) * (n - 1), 0, sizeof(TreeSlot));
    memset(area_ + heap_start, 0, length);
}

void TreeNodeEditor::overwrite(unsigned index, std::span<const std::byte> value) {
    memcpy(area_ + slots()[index].offset, value.data(), value.size());
}

void TreeNodeEditor::move_tail(unsigned from, TreeNodeEditor& other) {
    for (unsigned i = from; i < count(); i++) other.insert(other.count(), key(i), value(i));
    while (count() > from) erase(count() - 1);
}

}  // namespace exo
