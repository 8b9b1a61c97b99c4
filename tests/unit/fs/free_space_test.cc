// SPDX-License-Identifier: MIT
#include "fs/alloc/free_space.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "fs/format/layout.h"

using namespace exo;

TEST_CASE("free space equals a bitmap through random takes and inserts") {
    constexpr uint64_t kBlocks = 3000;
    std::mt19937_64 random(5);
    FreeSpace space;
    std::vector<bool> free(kBlocks, false);
    uint64_t count = 0;
    for (int step = 0; step < 20000; step++) {
        if (random() % 2) {
            const uint64_t start = random() % kBlocks,
                           length = 1 + random() % std::min<uint64_t>(40, kBlocks - start);
            bool any = false;
            for (uint64_t b = start; b < start + length; b++) any = any || free[b];
            REQUIRE(space.insert(start, length) == !any);
            if (any) continue;
            for (uint64_t b = start; b < start + length; b++) free[b] = true;
            count += length;
        } else {
            const uint64_t goal = random() % kBlocks;
            const auto run = space.take(1 + random() % 60, goal);
            if (count == 0) {
                REQUIRE(run.count == 0);
                continue;
            }
            REQUIRE(run.count > 0);
            if (goal != 0 && free[goal]) REQUIRE(run.start == goal);
            for (uint64_t b = run.start; b < run.start + run.count; b++) {
                REQUIRE(free[b]);
                free[b] = false;
            }
            count -= run.count;
        }
        REQUIRE(space.free_blocks() == count);
    }
    uint64_t runs = 0;
    for (uint64_t b = 0; b < kBlocks; b++) runs += free[b] && (b == 0 || !free[b - 1]);
    CHECK(space.extents() == runs);  // neighbours were merged
}

TEST_CASE("the best fit is taken, and runs do not join across groups") {
    FreeSpace space;
    REQUIRE(space.insert(100, 50));
    REQUIRE(space.insert(200, 10));
    REQUIRE(space.insert(300, 20));
    CHECK(space.take(10, 0).start == 200);
    CHECK(space.take(15, 0).start == 300);
    const auto large = space.take(500, 0);
    CHECK(large.start == 100);
    CHECK(large.count == 50);
    REQUIRE(space.insert(kGroupBlocks - 4, 4));
    REQUIRE(space.insert(kGroupBlocks, 4));
    CHECK(space.largest() == 5);
}

TEST_CASE("who wants to be at a place that is taken gets the next one with room") {
    FreeSpace space;
    CHECK(space.close_to(50) == 0);
    REQUIRE(space.insert(100, 50));
    REQUIRE(space.insert(200, 3));
    REQUIRE(space.insert(300, 20));
    REQUIRE(space.insert(400, 2));
    CHECK(space.close_to(50) == 100);
    CHECK(space.close_to(120) == 120);
    CHECK(space.close_to(150) == 300);
    CHECK(space.close_to(201) == 201);
    CHECK(space.close_to(330) == 400);  // hardly any room, but nothing else is left
    CHECK(space.close_to(500) == 0);
}
