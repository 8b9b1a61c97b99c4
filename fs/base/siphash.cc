// SPDX-License-Identifier: MIT
// SipHash-2-4 after Aumasson and Bernstein's paper.
#include "fs/base/siphash.h"

#include <bit>
#include <cstring>

namespace exo {

namespace {
struct State {
    uint64_t v0, v1, v2, v3;
    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
    void absorb(uint64_t word) {
        v3 ^= word;
        round();
        round();
        v0 ^= word;
    }
};
}  // namespace

uint64_t siphash24(const std::array<uint8_t, 16>& key, std::string_view data) {
    uint64_t k0, k1;
    memcpy(&k0, key.data(), 8);
    memcpy(&k1, key.data() + 8, 8);
    State s{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
            k1 ^ 0x7465646279746573};
    size_t at = 0;
    for (; at + 8 <= data.size(); at += 8) {
        uint64_t word;
        memcpy(&word, data.data() + at, 8);
        s.absorb(word);
    }
    uint64_t last = uint64_t(data.size()) << 56;
    for (size_t i = 0; at + i < data.size(); i++)
        last |= uint64_t(uint8_t(data[at + i])) << (8 * i);
    s.absorb(last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++) s.round();
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace exo
