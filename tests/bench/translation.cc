// SPDX-License-Identifier: MIT
// Instructions of the module's search for an extent, at random offsets, as JSON: the mean and the
// most for maps of several sizes. Run by tests/bench/paths, where the time stamp counter counts
// instructions.
#include <linux/exo.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

extern "C" {
#include "extent_map.h"
}

namespace {

constexpr u64 kBlock = 4096;
constexpr int kLookups = 20000;

// By call, so that the count has a beginning and an end.
[[gnu::noinline]] exo_run find(const exo_extent_map* map, u64 offset) {
    return exo_extent_map_find(map, offset);
}

[[gnu::noinline]] void nothing(const exo_extent_map* map, u64 offset) {
    asm volatile("" ::"r"(map), "r"(offset));
}

u64 instructions_of_find(const exo_extent_map& map, u64 offset, u64& sum) {
    const u64 begun = __rdtsc();
    const exo_run run = find(&map, offset);
    const u64 took = __rdtsc() - begun;
    sum += run.target;
    return took;
}

u64 instructions_of_nothing(const exo_extent_map& map, u64 offset) {
    const u64 begun = __rdtsc();
    nothing(&map, offset);
    return __rdtsc() - begun;
}

// Extents of 1 to 32 blocks, one behind the other in the file and scattered on the device.
std::vector<exo_extent> fragmented(u32 count, std::mt19937_64& random) {
    std::vector<exo_extent> extents(count);
    u64 at = 0;
    for (u32 i = 0; i < count; i++) {
        u64 length = (1 + random() % 32) * kBlock;
        extents[i] = {
            .file_offset = at, .disk_offset = (count - i) * 33 * kBlock, .length = length};
        at += length;
    }
    return extents;
}

}  // namespace

int main() {
    std::mt19937_64 random(1);
    const char* comma = "";
    u64 sum = 0;

    printf("[");
    for (u32 count : {1U, 8U, 64U, 1000U, 10000U}) {
        std::vector<exo_extent> extents = fragmented(count, random);
        std::vector<u64> memory(exo_extent_map_bytes(count) / sizeof(u64) + 1);
        exo_extent_map map = {};
        exo_extent_map_build(&map, memory.data(), extents.data(), count);
        u64 file_bytes = extents.back().file_offset + extents.back().length;
        std::vector<u64> counts;
        u64 counting = ~0ULL;
        for (int i = 0; i < kLookups; i++) {
            u64 offset = random() % file_bytes;
            counting = std::min(counting, instructions_of_nothing(map, offset));
            counts.push_back(instructions_of_find(map, offset, sum));
        }
        // An interrupt now and then comes in between.
        std::sort(counts.begin(), counts.end());
        counts.resize(counts.size() - counts.size() / 100);
        u64 total = 0;
        for (u64& each : counts) {
            total += each - counting;
        }
        printf("%s{\"extents\": %u, \"mean\": %.1f, \"most\": %llu}", comma, count,
               static_cast<double>(total) / static_cast<double>(counts.size()),
               static_cast<unsigned long long>(counts.back() - counting));
        comma = ", ";
    }
    printf("]\n");
    return sum == 1;  // nobody may leave it out
}
