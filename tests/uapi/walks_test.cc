// SPDX-License-Identifier: MIT
// The reads after the first, which the module makes where the one before completed: chains of them,
// each of its own length at any byte, in files of one extent to ten thousand, by every engine.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fragmented.h"
#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;

namespace {

// One traversal, and what it must find.
struct Walk {
    test_walk_args args;
    test_walk_result result, expected;
    exo_traverse request;
};

void fill(Walk& walk, Fragmented& file, uint16_t engine) {
    walk = {};
    walk.args.seed = file.random();
    walk.args.count = EXO_TEST_WALK_READS;
    const uint32_t rooms[] = {4 * file.block, 16384, 65536, 65536 + 4096};
    walk.request.hop_bytes = std::max(rooms[file.random() % std::size(rooms)], file.block);
    for (uint32_t i = 0; i < EXO_TEST_WALK_READS; i++) {
        test_walk_read& read = walk.args.read[i];
        read = file.draw(walk.request.hop_bytes);
        walk.expected.sum[i] = walk_sum(&file.image[read.offset], read.len, walk.args.seed + i);
    }
    walk.request.engine = engine;
    walk.request.program_id = shared_program("test_walk").id();
    walk.request.args = address(&walk.args);
    walk.request.args_len = sizeof(walk.args);
    walk.request.result = address(&walk.result);
    walk.request.result_len = sizeof(walk.result);
    walk.request.timeout_ms = 30000;
}

struct Counts {
    uint64_t direct = 0, deferred = 0, polled = 0, dispatched = 0;
};

void check(const Walk& walk, Counts& counts) {
    const exo_outcome& out = walk.request.outcome;
    CAPTURE(out.hops);
    CAPTURE(out.file_offset);
    REQUIRE(out.cause == EXO_END_DONE);
    REQUIRE(out.hops == EXO_TEST_WALK_READS);
    for (uint32_t i = 0; i < EXO_TEST_WALK_READS; i++) {
        if (walk.result.sum[i] != walk.expected.sum[i]) {
            FAIL("read " << i << " of " << walk.args.read[i].len << " bytes at "
                         << walk.args.read[i].offset << " is wrong");
        }
    }
    counts.direct += out.direct;
    counts.deferred += out.deferred;
    counts.polled += out.polled;
    counts.dispatched += out.dispatched;
}

// False if the device is not served so.
bool by_call(const Rig& rig, Walk& walk) {
    int error = call(rig.grant, EXO_GRANT_TRAVERSE, &walk.request);
    if (error == -EOPNOTSUPP) {
        return false;
    }
    REQUIRE(error == 0);
    return true;
}

bool by_ring(const Rig& rig, std::vector<Walk>& walks) {
    const bool polled = walks.front().request.engine == EXO_ENGINE_POLLED;
    Ring ring(64, polled ? unsigned{IORING_SETUP_IOPOLL} : 0);
    for (Walk& walk : walks) {
        ring.push(rig.grant.get(), &walk.request, 0);
    }
    ring.submit(static_cast<unsigned>(walks.size()));
    bool served = true;
    for (size_t i = 0; i < walks.size(); i++) {
        int32_t res = ring.reap().res;
        served = served && res != -EOPNOTSUPP;
        REQUIRE((res == EXO_END_DONE || res == -EOPNOTSUPP));
    }
    return served;
}

bool direct_expected() {
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    return info.features & EXO_FEATURE_DIRECT_ISSUE && on_nvme();
}

}  // namespace

TEST_SUITE_BEGIN("reads");

TEST_CASE("chains of reads of every size and alignment equal the file's bytes, by every engine") {
    constexpr uint16_t kEngines[] = {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH};
    const char* wanted = std::getenv("EXO_TEST_READS");
    const uint64_t cases = wanted ? std::strtoull(wanted, nullptr, 10) : 50000 / slowness();
    // Not all kinds of maps where there is little time.
    const std::vector<uint32_t> kinds =
        cases < 10000 ? std::vector<uint32_t>{1, 1000} : std::vector<uint32_t>{1, 64, 1000, 10000};
    const size_t walks_each =
        1 + cases / (kinds.size() * std::size(kEngines) * 2 * EXO_TEST_WALK_READS);
    const bool direct = direct_expected();
    exo_attach device = {};
    REQUIRE(attach(device_path(), &device).error == 0);

    uint64_t reads = 0;
    for (uint32_t extents : kinds) {
        CAPTURE(extents);
        Fragmented file(device_path(), device.logical_block_bytes, extents, extents + cases);
        Rig rig(file.size_bytes, file.extents);
        for (uint16_t engine : kEngines) {
            CAPTURE(engine);
            Counts counts;
            const uint64_t before = reads;
            for (bool ring : {false, true}) {
                CAPTURE(ring);
                for (size_t left = walks_each; left;) {
                    std::vector<Walk> walks(std::min<size_t>(left, 8));
                    bool served = true;
                    for (Walk& walk : walks) {
                        fill(walk, file, engine);
                        served = served && (ring || by_call(rig, walk));
                    }
                    if (!served || (ring && !by_ring(rig, walks))) {
                        break;
                    }
                    for (const Walk& walk : walks) {
                        check(walk, counts);
                    }
                    left -= walks.size();
                    reads += walks.size() * EXO_TEST_WALK_READS;
                }
            }
            if (engine == EXO_ENGINE_COMPLETION && direct) {
                CHECK(counts.direct > 0);
            }
            if (engine == EXO_ENGINE_POLLED && reads > before) {
                CHECK(counts.polled > 0);
            }
            MESSAGE(extents << " extents, engine " << engine << ": reissued " << counts.direct
                            << " at the completion, " << counts.deferred << " by workers, "
                            << counts.polled << " by pollers, " << counts.dispatched << " as bios");
        }
    }
    CHECK(reads > 0);
    MESSAGE(reads << " chained reads");
}

TEST_SUITE_END();
