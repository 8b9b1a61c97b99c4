// SPDX-License-Identifier: MIT
// SipHash-2-4: the keyed 64-bit hash of directory names, so that nobody can choose names that
// collide.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace exo {

uint64_t siphash24(const std::array<uint8_t, 16>& key, std::string_view data);

}  // namespace exo
