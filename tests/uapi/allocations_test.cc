// SPDX-License-Identifier: MIT
// What a traversal needs it has before its first read: however many blocks it visits, the kernel
// allocates as much as for one.
#include <doctest/doctest.h>

#include "allocations.h"
#include "rig.h"

using namespace exo::test;

TEST_SUITE_BEGIN("allocations");

TEST_CASE("no hop allocates") {
    Rig rig;
    const Program& stride = shared_program("test_stride");
    AllocationCounter allocations;
    const uint32_t block = rig.info.logical_block_bytes;
    const auto least = [&](uint16_t engine, uint32_t depth) {
        const test_stride_args args = {.stride = 3 * block, .count = depth, .len = block};
        return allocations.least(7, [&] {
            Run r = run(rig.grant, stride.id(), args, {.hop_bytes = block, .engine = engine});
            REQUIRE(r.error == 0);
            REQUIRE(r.outcome.hops == depth);
        });
    };
    for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED}) {
        CAPTURE(engine);
        least(engine, 1);  // what is allocated once and kept
        const uint64_t shallow = least(engine, 1);
        const uint64_t deep = least(engine, 241);
        CHECK(shallow > 0);  // so that they are counted at all
        // Others may have allocated in each of the rounds, but not once for every hop.
        CHECK(deep < shallow + 60);
        MESSAGE("engine " << engine << ": " << shallow << " allocations for 1 block, " << deep
                          << " for 241");
    }
}

TEST_SUITE_END();
