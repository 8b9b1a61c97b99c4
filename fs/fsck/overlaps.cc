// SPDX-License-Identifier: MIT
// Pass 6: blocks with more than one user. Metadata keeps its block. Among files, the one with the
// lowest inode number keeps it; another file of the same user gets a copy, one of another user a
// hole: nobody is shown what may be somebody else's.
#include <algorithm>

#include "fs/fsck/trees.h"
#include "fs/fsck/values.h"

namespace exo::fsck {

namespace {

struct Keeper {
    Ino ino;
    uint32_t uid;
};

class OverlapPass {
  public:
    explicit OverlapPass(Check& check) : c_(check) { merge(); }

    Result<> run() {
        for (Ino ino = 1; ino < c_.inode_limit(); ino++) {
            const InodeFacts& facts = c_.facts(ino);
            if (facts.type != S_IFREG >> 12) continue;
            EXO_TRY_ASSIGN(const InodeRecord record, c_.record(ino));
            cuts_.clear();
            others_.clear();
            uint64_t next = 0;
            const TreeVisitor visitor{{}, [&](uint64_t key, std::span<const std::byte> value) {
                                          const auto extent = parse_extent(*c_.space, key, value);
                                          if (!extent || extent->file_block < next) return;
                                          next = extent->file_block + extent->count;
                                          look_at(*extent, ino, record.uid);
                                      }};
            (void)walk_tree(c_, ino, record, TreeRoot::kData, visitor);
            if (!cuts_.empty()) report(ino);
        }
        return {};
    }

  private:
    void merge() {
        for (const auto& [start, end] : c_.contested) {
            if (!runs_.empty() && runs_.back().second >= start)
                runs_.back().second = std::max(runs_.back().second, end);
            else
                runs_.emplace_back(start, end);
        }
    }

    void look_at(const FileExtent& extent, Ino ino, uint32_t uid) {
        const BlockNo end = extent.disk + extent.count;
        auto run =
            std::ranges::upper_bound(runs_, extent.disk, {}, &std::pair<BlockNo, BlockNo>::second);
        for (; run != runs_.end() && run->first < end; ++run) {
            const BlockNo first = std::max(run->first, extent.disk);
            for (BlockNo block = first; block < std::min(run->second, end); block++) {
                const uint64_t at = extent.file_block + (block - extent.disk);
                if (c_.metadata->used(block)) {
                    others_.insert("the file system itself");
                    cuts_.push_back({at, block, false});
                    continue;
                }
                const auto [keeper, first_user] = keepers_.try_emplace(block, Keeper{ino, uid});
                if (first_user) continue;
                others_.insert(of(keeper->second.ino));
                cuts_.push_back({at, block, keeper->second.uid == uid});
            }
        }
    }

    void report(Ino ino) {
        std::string others;
        for (const std::string& other : others_) others += (others.empty() ? "" : ", ") + other;
        const auto copied = std::ranges::count_if(cuts_, &Cut::copy);
        const auto size = ptrdiff_t(cuts_.size());
        if (!c_.problems.found(Damage::kOverlap,
                               of(ino) + " uses block " + std::to_string(cuts_[0].disk) +
                                   (size > 1 ? " and " + std::to_string(size - 1) + " more" : "") +
                                   ", which something else uses too: " + others + " (" +
                                   (copied == size ? "copied"
                                    : copied == 0  ? "taken from it"
                                                   : "copied, or taken from it") +
                                   ")"))
            return;
        Rework& rework = c_.rework[ino];
        rework.data = true;
        rework.cuts = cuts_;
    }

    Check& c_;
    std::vector<std::pair<BlockNo, BlockNo>> runs_;
    std::unordered_map<BlockNo, Keeper> keepers_;
    std::vector<Cut> cuts_;
    std::set<std::string> others_;
};

}  // namespace

Result<> check_overlaps(Check& check) {
    if (check.contested.empty()) return {};
    return OverlapPass(check).run();
}

}  // namespace exo::fsck
