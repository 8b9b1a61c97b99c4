// SPDX-License-Identifier: MIT
// Changing the entries of a directory whose tree is sound.
#pragma once

#include "fs/fsck/check.h"

namespace exo::fsck {

struct NewEntry {
    std::string name;
    Ino ino;
    uint8_t type;
};

// Removes entries by key and adds others by name; a name that is there already gets a "~" appended.
// The count in the record follows.
Result<> change_entries(Check& check, Ino dir, const std::vector<uint64_t>& erased,
                        std::vector<NewEntry> added);

}  // namespace exo::fsck
