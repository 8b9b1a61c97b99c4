// SPDX-License-Identifier: MIT
#include "fragmented.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "test_walk.h"

namespace exo::test {

namespace {

constexpr uint64_t kFew = 4 * kMiB, kMany = 48 * kMiB;
constexpr uint32_t kMostBytes = 65536;

#define EXO_TEST_ENTRY(size) size,
constexpr std::array kSizes = {EXO_TEST_WALK_SIZES(EXO_TEST_ENTRY)};
#undef EXO_TEST_ENTRY

}  // namespace

Fragmented::Fragmented(const std::string& device, uint32_t block_bytes, uint32_t count,
                       uint64_t seed)
    : block(block_bytes), random(seed) {
    const uint64_t room =
        std::max<uint64_t>(std::min(std::max(kFew / count, uint64_t{8192}), kMany / count), block) /
        block * block;
    std::vector<uint64_t> bytes(room * count / sizeof(uint64_t));
    std::ranges::generate(bytes, std::ref(random));
    write_device(device, 0, bytes.data(), bytes.size() * sizeof(uint64_t));

    std::vector<uint64_t> places;
    for (uint64_t i = 0; i < count; i++) {
        places.push_back(i * room);
    }
    std::ranges::shuffle(places, random);
    uint64_t at = 0;
    for (uint64_t place : places) {
        const uint64_t len = count == 1 ? room : (1 + random() % (room / block)) * block;
        at += count > 1 && random() % 5 == 0 ? (1 + random() % 8) * block : 0;
        extents.push_back({.file_offset = at, .disk_offset = place, .length = len});
        at += len;
    }
    at += count > 1 ? 4ULL * block : 0;
    size_bytes = at - 100;
    image.resize(at);
    for (const exo_extent& e : extents) {
        memcpy(&image[e.file_offset], reinterpret_cast<uint8_t*>(bytes.data()) + e.disk_offset,
               e.length);
    }
    image.resize(size_bytes);
}

test_walk_read Fragmented::draw(uint32_t room) {
    const uint64_t offset = random() % size_bytes;
    const uint64_t most =
        std::min({uint64_t{kMostBytes}, room - offset % block, size_bytes - offset});
    uint32_t len = static_cast<uint32_t>(std::min(1 + random() % (2U << random() % 16), most));
    if (random() % 2) {
        len = walk_size(len);
    }
    return {.offset = offset, .len = len, .reserved = 0};
}

uint32_t walk_size(uint32_t len) {
    return static_cast<uint32_t>(*std::ranges::find_if(
        kSizes, [len](int size) { return static_cast<uint32_t>(size) <= len; }));
}

uint64_t walk_sum(const uint8_t* bytes, uint32_t len, uint64_t seed) {
    return exo_test_walk_sum(bytes, walk_size(len), seed);
}

}  // namespace exo::test
