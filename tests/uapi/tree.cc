// SPDX-License-Identifier: MIT
// The writer behind tree.h.
#include "tree.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

namespace exo::test {

Tree write_tree(const std::string& device, uint32_t files, uint32_t blocks, uint32_t children) {
    constexpr uint32_t kBlocks = kTreeFileBytes / 4096;
    REQUIRE(blocks <= files * kBlocks);
    std::vector<uint32_t> places(files * kBlocks);
    std::iota(places.begin(), places.end(), 0);
    std::mt19937 random(blocks * 31 + children);
    std::shuffle(places.begin() + 1, places.end(), random);

    auto child = [&](uint32_t node) {
        uint32_t place = places[node];
        return test_tree_child{.slot = place / kBlocks,
                               .reserved = 0,
                               .offset = place % kBlocks * 4096ULL,
                               .value = 1000003ULL * (node + 1)};
    };
    Tree tree = {.blocks = blocks, .sum = 0, .root = child(0)};
    std::vector<uint8_t> image(files * kTreeFileBytes);
    uint32_t next = 1;
    for (uint32_t node = 0; node < blocks; node++) {
        test_tree_block block = {};
        block.value = child(node).value;
        tree.sum += block.value;
        for (; block.children < children && next < blocks; next++) {
            block.child[block.children++] = child(next);
        }
        memcpy(&image[places[node] * 4096ULL], &block, sizeof(block));
    }
    write_device(device, 0, image.data(), image.size());
    return tree;
}

}  // namespace exo::test
