// SPDX-License-Identifier: MIT
// A file of random bytes in many extents and holes, scattered over the device, and reads of it.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "rig.h"

namespace exo::test {

struct Fragmented {
    // Writes the device from its beginning. One extent has 4 MiB; of many, each has at least a
    // block and on average half of what the device's first 4 to 48 MiB give to each. With more than
    // one, every fifth comes after a hole, and the file ends in one, and not with a block.
    Fragmented(const std::string& device, uint32_t block, uint32_t count, uint64_t seed);

    // As many short reads as long ones, inside of the file, whose blocks fit into `room`; half of
    // the lengths are such that test_walk looks at the last byte.
    test_walk_read draw(uint32_t room);

    uint32_t block;
    std::mt19937_64 random;
    std::vector<exo_extent> extents;
    std::vector<uint8_t> image;  // what the file reads as
    uint64_t size_bytes = 0;
};

// The largest of the sizes that test_walk can look at; what it keeps of a read of `len` bytes.
uint32_t walk_size(uint32_t len);
uint64_t walk_sum(const uint8_t* bytes, uint32_t len, uint64_t seed);

}  // namespace exo::test
