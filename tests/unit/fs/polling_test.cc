// SPDX-License-Identifier: MIT
#include "fs/base/polling.h"

#include <doctest/doctest.h>

using exo::Polling;
using namespace std::chrono_literals;

TEST_CASE("polling ends when it is there, and is left out for a while after it was in vain") {
    Polling patient(1h, 3);
    int looks = 0;
    CHECK(patient.poll([&] { return ++looks == 2; }));
    CHECK(looks == 2);

    Polling hasty(0us, 3);
    for (int round = 0; round < 2; round++) {
        looks = 0;
        const auto never = [&] { return ++looks < 0; };
        CHECK_FALSE(hasty.poll(never));
        CHECK(looks > 0);
        looks = 0;
        for (int i = 0; i < 3; i++) CHECK_FALSE(hasty.poll(never));
        CHECK(looks == 0);
    }
}
