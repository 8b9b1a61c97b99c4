// SPDX-License-Identifier: MIT
// Trees of blocks on the device for test_tree, in one file or scattered over several.
#pragma once

#include <cstdint>
#include <vector>

#include "rig.h"

namespace exo::test {

// File `slot` lies at slot * kTreeFileBytes of the device.
constexpr uint64_t kTreeFileBytes = 256 * 4096;

struct Tree {
    uint32_t blocks = 0;
    uint64_t sum = 0;
    test_tree_child root = {};
};

// Writes a tree of `blocks` nodes, each at a random block of one of `files` files and with up to
// `children` children. The root is at the beginning of file 0.
Tree write_tree(const std::string& device, uint32_t files, uint32_t blocks, uint32_t children);

}  // namespace exo::test
