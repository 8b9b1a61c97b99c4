// SPDX-License-Identifier: MIT
// What a user can see of a volume: every name with its attributes and content, and what is left of
// files that only a persistent pin keeps.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fs/volume/volume.h"

namespace exo::test {

struct Seen {
    Ino ino = 0;
    std::string meta;   // type, permissions, owner, links, target, extended attributes
    std::string times;  // of access and modification
    uint64_t size = 0;
    std::vector<uint64_t> sectors{};  // of the content, 512 bytes each; see sector_text()
    bool pinned = false;              // persistently; is part of meta
    bool leased = false;              // pinned until the crash; no difference
    bool operator==(const Seen& other) const {
        return ino == other.ino && meta == other.meta && times == other.times &&
               size == other.size && sectors == other.sectors;
    }
};

using Snapshot = std::map<std::string, Seen>;  // by path, without a leading slash

// Below this directory. Files without a name are seen from the root only, as "<pinned NUMBER>".
Result<Snapshot> see(Volume& volume, Ino root = kRootIno);

// A sector's content by its number in Seen. All that were ever seen are kept: they are few.
const std::string& sector_text(uint64_t sector);

// In words, the first difference; empty when there is none.
std::string difference(const Snapshot& wanted, const Snapshot& found);

}  // namespace exo::test
