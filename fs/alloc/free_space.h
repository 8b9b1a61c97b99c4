// SPDX-License-Identifier: MIT
// Which blocks are free, in memory: every free extent is in two trees, by offset (to merge, and to
// go on where a file ends) and by length (to find the best fit). Extents never cross a group,
// because a group's first block is its bitmap. Not thread-safe: the allocator locks it.
#pragma once

#include <boost/intrusive/set.hpp>
#include <cstdint>

#include "fs/base/page.h"

namespace exo {

class FreeSpace {
  public:
    FreeSpace() = default;
    ~FreeSpace();
    FreeSpace(const FreeSpace&) = delete;
    FreeSpace& operator=(const FreeSpace&) = delete;

    // False (and nothing changed) if any of the range was free already.
    bool insert(BlockNo start, uint64_t count);
    struct Run {
        BlockNo start = 0;
        uint64_t count = 0;
    };
    // Takes up to `want` blocks in one run: at `goal` if that is free, else the smallest extent
    // that holds them all, else the largest there is. Empty when nothing is free.
    Run take(uint64_t want, BlockNo goal);
    // The block to take for who wants to be at `goal`: itself if it is free, else the first one
    // behind it with some room, if it is not far. 0: none.
    BlockNo close_to(BlockNo goal) const;
    // Takes the exact range, if all of it is free.
    bool take_exact(BlockNo start, uint64_t count);

    uint64_t free_blocks() const { return free_blocks_; }
    uint64_t largest() const { return by_length_.empty() ? 0 : by_length_.rbegin()->count; }
    size_t extents() const { return by_offset_.size(); }
    template <typename F>
    void for_each(F&& f) const {
        for (const Extent& extent : by_offset_) f(extent.start, extent.count);
    }

  private:
    struct ByOffset;
    struct ByLength;
    using OffsetHook =
        boost::intrusive::set_base_hook<boost::intrusive::tag<ByOffset>,
                                        boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                        boost::intrusive::optimize_size<true>>;
    using LengthHook =
        boost::intrusive::set_base_hook<boost::intrusive::tag<ByLength>,
                                        boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                        boost::intrusive::optimize_size<true>>;
    struct Extent : OffsetHook, LengthHook {
        Extent(BlockNo s, uint64_t c) : start(s), count(c) {}
        BlockNo start;
        uint64_t count;
    };
    struct OffsetLess {
        bool operator()(const Extent& a, const Extent& b) const { return a.start < b.start; }
        bool operator()(BlockNo a, const Extent& b) const { return a < b.start; }
        bool operator()(const Extent& a, BlockNo b) const { return a.start < b; }
    };
    struct LengthLess {
        bool operator()(const Extent& a, const Extent& b) const {
            return a.count != b.count ? a.count < b.count : a.start < b.start;
        }
        bool operator()(uint64_t a, const Extent& b) const { return a < b.count; }
        bool operator()(const Extent& a, uint64_t b) const { return a.count < b; }
    };
    using OffsetTree = boost::intrusive::set<Extent, boost::intrusive::base_hook<OffsetHook>,
                                             boost::intrusive::compare<OffsetLess>>;
    using LengthTree = boost::intrusive::set<Extent, boost::intrusive::base_hook<LengthHook>,
                                             boost::intrusive::compare<LengthLess>>;

    void resize(Extent& extent, BlockNo start, uint64_t count);
    void remove(Extent& extent);
    void carve(Extent& extent, BlockNo start, uint64_t count);

    OffsetTree by_offset_;
    LengthTree by_length_;
    uint64_t free_blocks_ = 0;
};

}  // namespace exo
