// SPDX-License-Identifier: MIT
// The module's conversion of times on the host, at the numbers where the kernel's own one gives up.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdint>

extern "C" {
#include "ticks.h"
}

TEST_CASE("any number of milliseconds is that long, and no shorter") {
    for (u32 hz : {24u, 100u, 250u, 300u, 1000u, 1024u}) {
        CAPTURE(hz);
        CHECK(exo_ticks(0, hz) == 0);
        for (u32 ms : {1u, 3u, 4u, 999u, 1000u, 60000u, (1u << 31) - 1, 1u << 31, (1u << 31) + 1,
                       30u * 24 * 3600 * 1000, UINT32_MAX}) {
            CAPTURE(ms);
            u64 ticks = exo_ticks(ms, hz);
            CHECK(ticks * 1000 >= static_cast<u64>(ms) * hz);
            CHECK((ticks - 1) * 1000 < static_cast<u64>(ms) * hz);
        }
    }
}
