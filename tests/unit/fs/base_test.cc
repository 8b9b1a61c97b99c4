// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <string>

#include "fs/base/crc32c.h"
#include "fs/base/siphash.h"

using namespace exo;

TEST_CASE("crc32c agrees with RFC 3720 and can be continued") {
    std::string zeros(32, '\0'), digits = "123456789";
    CHECK(crc32c(zeros.data(), zeros.size()) == 0x8a9136aa);
    CHECK(crc32c(digits.data(), digits.size()) == 0xe3069283);
    CHECK(crc32c(digits.data() + 4, 5, crc32c(digits.data(), 4)) == 0xe3069283);
}

TEST_CASE("siphash agrees with its paper's vectors") {
    std::array<uint8_t, 16> key;
    for (uint8_t i = 0; i < 16; i++) key[i] = i;
    std::string data;
    for (char i = 0; i < 15; i++) data.push_back(i);
    CHECK(siphash24(key, data) == 0xa129ca6149be45e5);
    CHECK(siphash24(key, "") == 0x726fdb47dd0e0e31);
}
