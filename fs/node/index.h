// SPDX-License-Identifier: MIT
// The system's lists of inodes: pinned ones, and orphans (without a name, or with a truncation
// that is not finished). They make mount independent of the number of inodes.
#pragma once

#include <cstring>
#include <vector>

#include "fs/node/tree.h"

namespace exo {

class InodeIndex {
  public:
    // index: kPinIndexIno or kOrphanIndexIno
    InodeIndex(const Core& core, InodeTable& inodes, Ino index)
        : tree_(core, inodes, index, Purpose::kFreeing) {}

    struct Item {
        Ino ino;
        uint32_t generation;
    };
    Result<> insert(Handle& handle, Ino ino, uint32_t generation) {
        IndexValue value;
        value.generation = generation;
        value.reserved = 0;
        return tree_.insert(handle, ino, std::as_bytes(std::span(&value, 1)));
    }
    Result<bool> erase(Handle& handle, Ino ino) { return tree_.erase(handle, ino); }
    Result<std::vector<Item>> list() const {
        std::vector<Item> items;
        bool good = true;
        EXO_TRY(tree_.scan(0, [&](uint64_t key, std::span<const std::byte> bytes) {
            IndexValue value;
            if (bytes.size() != sizeof value) return good = false;
            memcpy(&value, bytes.data(), sizeof value);
            items.push_back({key, value.generation});
            return true;
        }));
        if (!good) return fail(EUCLEAN, "a system index is malformed: run fsck.exo");
        return items;
    }

  private:
    Tree tree_;
};

}  // namespace exo
