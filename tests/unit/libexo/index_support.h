// SPDX-License-Identifier: MIT
// Indexes in memory files, random records, and a std::map to compare with.
#pragma once

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <exo/index/btree.hpp>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "exo_index.h"

using Records = std::map<std::string, std::string>;

// A seed that a failed run tells and EXO_TEST_SEED sets.
inline uint64_t test_seed() {
    static const uint64_t seed = [] {
        const char* given = std::getenv("EXO_TEST_SEED");
        return given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    }();
    return seed;
}

inline exo::File memory_file() {
    int fd = memfd_create("index", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    auto file = exo::File::open("/proc/self/fd/" + std::to_string(fd), O_RDWR);
    REQUIRE(file);
    close(fd);
    return std::move(*file);
}

inline exo::File build(const Records& records, exo_index_info* info = nullptr) {
    auto builder = exo::IndexBuilder::make();
    REQUIRE(builder);
    for (const auto& [key, value] : records) REQUIRE(builder->add(key, value));
    exo::File file = memory_file();
    auto built = builder->finish(file);
    if (!built) FAIL(built.error().message);
    if (info) *info = *built;
    return file;
}

inline exo::Index open_index(const exo::File& file, uint32_t flags = 0) {
    exo_index_options options = {};
    options.flags = flags;
    auto index = exo::Index::open(file, options);
    if (!index) FAIL(index.error().message);
    return std::move(*index);
}

class Random {
  public:
    explicit Random(uint64_t seed = test_seed()) : engine_(seed) {}
    size_t below(size_t bound) {
        return std::uniform_int_distribution<size_t>(0, bound - 1)(engine_);
    }
    // Bytes of a small alphabet, so that many keys share beginnings, with 0x00 and 0xff in it.
    std::string bytes(size_t length, size_t alphabet = 256) {
        static const unsigned char few[] = {0x00, 0xff, 'a', 'b', 0x80, '-'};
        std::string text;
        for (size_t i = 0; i < length; i++) {
            text += char(alphabet <= sizeof few ? few[below(alphabet)] : below(alphabet));
        }
        return text;
    }

  private:
    std::mt19937_64 engine_;
};

// Records of every awkward shape: shared beginnings, keys that begin others, empty ones, the
// longest.
inline Records awkward_records(size_t count, Random& random) {
    Records records;
    records[""] = "the empty key";
    records["a"] = "";
    for (size_t length : {EXO_INDEX_KEY_MAX - 1, EXO_INDEX_KEY_MAX}) {
        records[std::string(length, 'a')] = "long";
        records[std::string(length, '\xff')] = random.bytes(EXO_INDEX_INLINE_MAX);
    }
    for (size_t length : {EXO_INDEX_INLINE_MAX - 1, EXO_INDEX_INLINE_MAX, EXO_INDEX_INLINE_MAX + 1,
                          EXO_INDEX_OVERFLOW_BYTES, EXO_INDEX_OVERFLOW_BYTES + 1,
                          EXO_INDEX_VALUE_MAX - 1, EXO_INDEX_VALUE_MAX}) {
        records["value of " + std::to_string(length)] = random.bytes(length);
    }
    const std::string shared = random.bytes(200);
    while (records.size() < count) {
        std::string key;
        switch (random.below(5)) {
            case 0:
                key = random.bytes(random.below(9), 4);
                break;
            case 1:
                key = shared + random.bytes(random.below(6), 3);
                break;
            case 2:
                key = shared.substr(0, random.below(200));
                break;
            case 3:
                key = random.bytes(random.below(EXO_INDEX_KEY_MAX + 1));
                break;
            default:
                key = "lib" + std::to_string(random.below(count * 4));
                break;
        }
        records[key] = random.bytes(random.below(10) ? random.below(100) : random.below(3000));
    }
    return records;
}

// Keys close to those that are there: one byte less, more, or different.
inline std::string neighbour(const std::string& key, Random& random) {
    std::string other = key;
    switch (random.below(4)) {
        case 0:
            other += char(random.below(256));
            break;
        case 1:
            other += '\0';
            break;
        case 2:
            if (!other.empty()) other.pop_back();
            break;
        default:
            if (!other.empty()) other[random.below(other.size())] ^= char(1 << random.below(8));
    }
    return other;
}
