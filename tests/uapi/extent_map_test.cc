// SPDX-License-Identifier: MIT
// The module's extent map on the host: every fault is found, and the search agrees with a plain
// one.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <linux/exo.h>

#include <algorithm>
#include <random>
#include <vector>

extern "C" {
#include "extent_map.h"
}

namespace {

constexpr uint32_t kBlock = 512;

struct Map {
    explicit Map(const std::vector<exo_extent>& extents)
        : memory(exo_extent_map_bytes(static_cast<u32>(extents.size())) / sizeof(u64) + 1) {
        exo_extent_map_build(&map, memory.data(), extents.data(), static_cast<u32>(extents.size()));
    }
    std::vector<u64> memory;
    exo_extent_map map = {};
};

exo_extent_fault check(const std::vector<exo_extent>& extents, u64 file = 1 << 20,
                       u64 device = 1 << 20) {
    exo_extent_limits limits = {.file_bytes = file, .device_bytes = device, .block_bytes = kBlock};
    return exo_extent_map_check(extents.data(), static_cast<u32>(extents.size()), &limits);
}

exo_extent_fault check_device(std::vector<exo_extent> extents) {
    std::sort(extents.begin(), extents.end(), [](const exo_extent& a, const exo_extent& b) {
        return exo_extent_compare_device(&a, &b) < 0;
    });
    return exo_extent_map_check_device_order(extents.data(), static_cast<u32>(extents.size()));
}

// Where one block lies, straight from the definition.
u64 plain_find(const std::vector<exo_extent>& extents, u64 at) {
    for (const exo_extent& e : extents) {
        if (at >= e.file_offset && at < e.file_offset + e.length) {
            return e.disk_offset + at - e.file_offset;
        }
    }
    return ~0ULL;
}

}  // namespace

TEST_CASE("faults") {
    CHECK(check({}) == EXO_EXTENT_OK);
    CHECK(check({{0, 0, 512}, {512, 512, 512}}) == EXO_EXTENT_OK);
    CHECK(check({{0, 0, 0}}) == EXO_EXTENT_EMPTY);
    CHECK(check({{1, 0, 512}}) == EXO_EXTENT_MISALIGNED);
    CHECK(check({{0, 511, 512}}) == EXO_EXTENT_MISALIGNED);
    CHECK(check({{0, 0, 513}}) == EXO_EXTENT_MISALIGNED);
    CHECK(check({{0, 0, 512}}, 1) == EXO_EXTENT_OK);
    CHECK(check({{0, 0, 1024}}, 512) == EXO_EXTENT_OUTSIDE_FILE);
    CHECK(check({{512, 0, 512}}, 512) == EXO_EXTENT_OUTSIDE_FILE);
    CHECK(check({{0, 0, 512}}, 0) == EXO_EXTENT_OUTSIDE_FILE);
    CHECK(check({{~511ULL, 0, 512}}) == EXO_EXTENT_OUTSIDE_FILE);
    CHECK(check({{512, 0, ~511ULL}}) == EXO_EXTENT_OUTSIDE_FILE);
    CHECK(check({{0, (1 << 20) - 512, 512}}) == EXO_EXTENT_OK);
    CHECK(check({{0, 1 << 20, 512}}) == EXO_EXTENT_OUTSIDE_DEVICE);
    CHECK(check({{0, ~511ULL, 512}}) == EXO_EXTENT_OUTSIDE_DEVICE);
    CHECK(check({{512, 0, 512}, {0, 512, 512}}) == EXO_EXTENT_UNSORTED);
    CHECK(check({{0, 0, 1024}, {512, 2048, 512}}) == EXO_EXTENT_UNSORTED);
    CHECK(check({{0, 0, 512}, {0, 512, 512}}) == EXO_EXTENT_UNSORTED);
    CHECK(check_device({{0, 512, 512}, {512, 0, 512}}) == EXO_EXTENT_OK);
    CHECK(check_device({{0, 0, 512}, {512, 0, 512}}) == EXO_EXTENT_DEVICE_OVERLAP);
    CHECK(check_device({{0, 512, 1024}, {1024, 0, 1024}}) == EXO_EXTENT_DEVICE_OVERLAP);
}

TEST_CASE("the search agrees with a plain one") {
    std::mt19937 random(20260101);
    for (int round = 0; round < 300; round++) {
        std::vector<exo_extent> extents;
        std::vector<u64> disk(64);
        for (u64 i = 0; i < disk.size(); i++) {
            disk[i] = i;
        }
        std::shuffle(disk.begin(), disk.end(), random);
        u64 at = random() % 3;
        for (size_t i = 0; i < disk.size() && at < 60; i++) {
            u64 place = random() % 3 && i && !extents.empty()
                            ? (extents.back().disk_offset + extents.back().length) / kBlock
                            : disk[i] + 1000 * (i + 1);
            extents.push_back({.file_offset = at * kBlock,
                               .disk_offset = place * kBlock,
                               .length = kBlock * (1 + random() % 3)});
            at += extents.back().length / kBlock + (random() % 2 ? 0 : random() % 4);
            if (random() % 40 == 0) {
                break;
            }
        }
        REQUIRE(check(extents, 1 << 20, 1ULL << 40) == EXO_EXTENT_OK);
        Map built(extents);
        CHECK(built.map.count <= extents.size());
        for (u64 offset = 0; offset < 70 * kBlock; offset += kBlock) {
            exo_run run = exo_extent_map_find(&built.map, offset);
            u64 wanted = plain_find(extents, offset);
            REQUIRE(run.hole == (wanted == ~0ULL));
            if (!run.hole) {
                REQUIRE(run.target == wanted);
            }
            // It goes on so for as long as it says, and no further.
            u64 end = std::min<u64>(offset + run.len, 80 * kBlock);
            for (u64 at = offset; at <= end; at += kBlock) {
                u64 place = plain_find(extents, at);
                bool same = run.hole ? place == ~0ULL : place == wanted + (at - offset);
                REQUIRE(same == (at < offset + run.len));
            }
        }
    }
}

TEST_CASE("no extents at all") {
    Map built({});
    CHECK(built.map.count == 0);
    for (u64 offset : {0ULL, 511ULL, 1ULL << 40}) {
        exo_run run = exo_extent_map_find(&built.map, offset);
        CHECK(run.hole);
        CHECK(run.len == ~0ULL - offset);
    }
}

// Most of the buckets are empty, and one holds nearly all extents.
TEST_CASE("extents that crowd") {
    for (bool at_end : {false, true}) {
        std::vector<exo_extent> extents;
        constexpr u64 kFar = 1ULL << 50;
        constexpr u64 kCrowd = 1000;
        if (at_end) {
            extents.push_back({.file_offset = 0, .disk_offset = 0, .length = kBlock});
        }
        for (u64 i = 0; i < kCrowd; i++) {
            extents.push_back({.file_offset = (at_end ? kFar : 0) + i * 3 * kBlock,
                               .disk_offset = (7 * i + 1) * kBlock,
                               .length = kBlock * (1 + i % 2)});
        }
        if (!at_end) {
            extents.push_back({.file_offset = kFar, .disk_offset = 0, .length = kBlock});
        }
        Map built(extents);
        REQUIRE(built.map.count == extents.size());
        for (const exo_extent& e : extents) {
            exo_run run = exo_extent_map_find(&built.map, e.file_offset + 1);
            REQUIRE_FALSE(run.hole);
            REQUIRE(run.target == e.disk_offset + 1);
            REQUIRE(run.len == e.length - 1);
            run = exo_extent_map_find(&built.map, e.file_offset + e.length);
            REQUIRE(run.hole);
            bool last = &e == &extents.back();
            u64 next = last ? ~0ULL : (&e + 1)->file_offset;
            REQUIRE(run.len == next - e.file_offset - e.length);
        }
    }
}

TEST_CASE("edges of large maps") {
    for (u32 count : {1u, 2u, 3u, 63u, 64u, 65u, 10000u}) {
        std::vector<exo_extent> extents;
        for (u64 i = 0; i < count; i++) {
            extents.push_back({.file_offset = i * 2 * kBlock,
                               .disk_offset = (count - i) * kBlock,
                               .length = kBlock});
        }
        Map built(extents);
        REQUIRE(built.map.count == count);
        for (u64 i : {0ULL, count / 2ULL, count - 1ULL}) {
            exo_run run = exo_extent_map_find(&built.map, i * 2 * kBlock);
            CHECK_FALSE(run.hole);
            CHECK(run.target == (count - i) * kBlock);
            CHECK(run.len == kBlock);
            run = exo_extent_map_find(&built.map, i * 2 * kBlock + kBlock);
            CHECK(run.hole);
            CHECK(run.len == (i + 1 < count ? kBlock : ~0ULL - (i * 2 + 1) * kBlock));
        }
    }
}
