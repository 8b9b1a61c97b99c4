// SPDX-License-Identifier: MIT
// Every class of damage, seeded into the sample.
#pragma once

#include <string>
#include <vector>

#include "fs/fsck/fsck.h"
#include "tests/unit/fs/fsck/sample.h"

namespace exo::test {

struct DamageCase {
    std::string name;
    Damage damage;  // what the check must call it
    std::function<void(MemoryDevice&)> seed;
    // Paths that may be changed or gone afterwards, and what lies below them. Everything else must
    // be as it was; what has lost its path is found in /lost+found by its number.
    std::set<std::string> harmed{};
};
const std::vector<DamageCase>& damage_cases();

}  // namespace exo::test
