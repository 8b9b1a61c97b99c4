// SPDX-License-Identifier: MIT
#include "fs/alloc/free_space.h"

#include <algorithm>

#include "fs/format/layout.h"

namespace exo {

FreeSpace::~FreeSpace() {
    by_length_.clear();
    by_offset_.clear_and_dispose([](Extent* extent) { delete extent; });
}

void FreeSpace::resize(Extent& extent, BlockNo start, uint64_t count) {
    by_length_.erase(by_length_.iterator_to(extent));
    extent.start = start;  // never moves past a neighbour: the order by offset stays
    extent.count = count;
    by_length_.insert(extent);
}

void FreeSpace::remove(Extent& extent) {
    by_length_.erase(by_length_.iterator_to(extent));
    by_offset_.erase(by_offset_.iterator_to(extent));
    delete &extent;
}

bool FreeSpace::insert(BlockNo start, uint64_t count) {
    auto after = by_offset_.lower_bound(start, OffsetLess());
    if (after != by_offset_.end() && after->start < start + count) return false;
    Extent* left = nullptr;
    if (after != by_offset_.begin()) {
        left = &*std::prev(after);
        if (left->start + left->count > start) return false;
    }
    free_blocks_ += count;
    const bool joins_left =
        left && left->start + left->count == start && group_of(left->start) == group_of(start);
    const bool joins_right = after != by_offset_.end() && start + count == after->start &&
                             group_of(after->start) == group_of(start);
    if (joins_left && joins_right) {
        const uint64_t right_count = after->count;
        remove(*after);
        resize(*left, left->start, left->count + count + right_count);
    } else if (joins_left) {
        resize(*left, left->start, left->count + count);
    } else if (joins_right) {
        resize(*after, start, after->count + count);
    } else {
        auto* fresh = new Extent(start, count);
        by_offset_.insert_before(after, *fresh);
        by_length_.insert(*fresh);
    }
    return true;
}

void FreeSpace::carve(Extent& extent, BlockNo start, uint64_t count) {
    const BlockNo old_start = extent.start, old_end = extent.start + extent.count,
                  end = start + count;
    free_blocks_ -= count;
    if (start == old_start && end == old_end) {
        remove(extent);
    } else if (start == old_start) {
        resize(extent, end, old_end - end);
    } else {
        resize(extent, old_start, start - old_start);
        if (end < old_end) {
            auto* rest = new Extent(end, old_end - end);
            by_offset_.insert(*rest);
            by_length_.insert(*rest);
        }
    }
}

FreeSpace::Run FreeSpace::take(uint64_t want, BlockNo goal) {
    if (by_offset_.empty() || want == 0) return {};
    if (goal != 0) {
        auto it = by_offset_.upper_bound(goal, OffsetLess());
        if (it != by_offset_.begin()) {
            Extent& extent = *--it;
            if (goal < extent.start + extent.count) {
                const uint64_t count = std::min(want, extent.start + extent.count - goal);
                carve(extent, goal, count);
                return {goal, count};
            }
        }
    }
    auto fit = by_length_.lower_bound(want, LengthLess());
    Extent& extent = fit != by_length_.end() ? *fit : *by_length_.rbegin();
    const Run run{extent.start, std::min(want, extent.count)};
    carve(extent, run.start, run.count);
    return run;
}

BlockNo FreeSpace::close_to(BlockNo goal) const {
    constexpr uint64_t kRoom = 16;  // blocks
    constexpr unsigned kLooks = 64;
    auto it = by_offset_.upper_bound(goal, OffsetLess());
    if (it != by_offset_.begin()) {
        const Extent& before = *std::prev(it);
        if (goal < before.start + before.count) return goal;
    }
    const BlockNo first = it != by_offset_.end() ? it->start : 0;
    for (unsigned looks = 0; it != by_offset_.end() && looks < kLooks; ++it, ++looks)
        if (it->count >= kRoom) return it->start;
    return first;
}

bool FreeSpace::take_exact(BlockNo start, uint64_t count) {
    auto it = by_offset_.upper_bound(start, OffsetLess());
    if (it == by_offset_.begin()) return false;
    Extent& extent = *--it;
    if (start + count > extent.start + extent.count) return false;
    carve(extent, start, count);
    return true;
}

}  // namespace exo
