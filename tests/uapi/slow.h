// SPDX-License-Identifier: MIT
// How many times slower than Debian's the kernel is, at most (EXO_TIME_SCALE): rates, times and
// counts that are chosen to fit a machine follow it, what is asserted about them does not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace exo::test {

inline uint32_t slowness() {
    const char* text = std::getenv("EXO_TIME_SCALE");
    return text ? static_cast<uint32_t>(std::max(1, std::atoi(text))) : 1;
}

}  // namespace exo::test
