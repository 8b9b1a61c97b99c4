// SPDX-License-Identifier: MIT
// As many traversals in flight as one grant may have: in every kind of ring and in a batch, with
// one more refused, and all of them ended by one revocation.
#include <doctest/doctest.h>

#include <chrono>
#include <vector>

#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

constexpr uint32_t kMost = 4096;  // what the module allows

exo_traverse stride_request(const test_stride_args& args) {
    exo_traverse request = {};
    request.program_id = shared_program("test_stride").id();
    request.hop_bytes = 4096;
    request.args = address(&args);
    request.args_len = sizeof(args);
    request.timeout_ms = 30000;
    return request;
}

bool polled_works(const Rig& rig) {
    const test_stride_args once = {.stride = 4096, .count = 1, .len = 4096};
    return run(rig.grant, shared_program("test_stride").id(), once, {.engine = EXO_ENGINE_POLLED})
               .error == 0;
}

void push(Ring& ring, const Fd& grant, exo_traverse& request, bool big, uint64_t data) {
    if (!big) {
        ring.push(grant.get(), &request, data);
        return;
    }
    exo_uring_traverse command = {};
    memcpy(&command, &request, offsetof(exo_traverse, outcome));
    ring.push(grant.get(), command, data);
}

}  // namespace

TEST_SUITE_BEGIN("ring-many");

TEST_CASE("thousands of traversals in flight in one ring, all ended by a revocation") {
    // Held back by a rate, they are all there at once whatever the device is.
    const test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
    for (unsigned flags :
         {0u, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, unsigned{IORING_SETUP_IOPOLL},
          IORING_SETUP_IOPOLL | IORING_SETUP_SQE128 | IORING_SETUP_CQE32}) {
        CAPTURE(flags);
        Rig rig(64 * 4096);
        if (flags & IORING_SETUP_IOPOLL && !polled_works(rig)) {
            continue;
        }
        const bool big = flags & IORING_SETUP_SQE128;
        exo_grant_open wish = {};
        wish.hop_limit = UINT32_MAX;
        wish.in_flight_limit = UINT32_MAX;
        wish.rate_reads = 1;
        Opened grant = rig.regrant(wish);
        REQUIRE(grant.error == 0);
        exo_grant_entry entry = {};
        REQUIRE(call(grant.fd, EXO_GRANT_INFO, &entry) == 0);
        REQUIRE(entry.in_flight_limit == kMost);

        std::vector<exo_traverse> requests(kMost + 1, stride_request(for_ever));
        Ring ring(kMost, flags);
        for (uint32_t i = 0; i < kMost; i++) {
            push(ring, grant.fd, requests[i], big, i);
        }
        auto begun = std::chrono::steady_clock::now();
        ring.submit(kMost);
        REQUIRE(call(grant.fd, EXO_GRANT_INFO, &entry) == 0);
        CHECK(entry.in_flight == kMost);
        CHECK(stats().traversals_in_flight == kMost);

        // One more is refused, by every way in.
        push(ring, grant.fd, requests[kMost], big, kMost);
        ring.submit(1);
        Ring::Completion c = ring.reap();
        CHECK(c.data == kMost);
        CHECK(c.res == -EBUSY);
        CHECK(call(grant.fd, EXO_GRANT_TRAVERSE, &requests[kMost]) == -EAGAIN);
        CHECK(std::chrono::steady_clock::now() - begun < 20s * slowness());

        begun = std::chrono::steady_clock::now();
        exo_unpin ended = {};
        CHECK(unpin(rig.volume, kIno, kGeneration, 0, &ended) == 0);
        // The first ones may have ended before those that were left at the cut were counted.
        CHECK(ended.drained_traversals > 0);
        CHECK(ended.drained_traversals <= kMost);
        CHECK(stats().traversals_in_flight == 0);
        CHECK(std::chrono::steady_clock::now() - begun < 10s * slowness());
        uint32_t revoked = 0;
        std::vector<bool> seen(kMost);
        for (uint32_t i = 0; i < kMost; i++) {
            c = ring.reap();
            REQUIRE(c.data < kMost);
            REQUIRE_FALSE(seen[c.data]);
            seen[c.data] = true;
            revoked += c.res == EXO_END_REVOKED;
        }
        CHECK(revoked == kMost);
        MESSAGE("drained in " << ended.drain_ns / 1000 << " us");
    }
    expect_idle();
}

TEST_CASE("a batch of the largest size, and one entry more") {
    Rig rig(64 * 4096);
    const test_stride_args args = {.stride = 4096, .count = 3, .len = 4096};
    exo_grant_open wish = {};
    wish.in_flight_limit = kMost;
    Opened grant = rig.regrant(wish);
    REQUIRE(grant.error == 0);
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    REQUIRE(info.max_batch == kMost);
    std::vector<exo_traverse> entries(kMost + 1, stride_request(args));
    exo_batch batch = {.traversals = address(entries.data()),
                       .count = kMost + 1,
                       .entry_bytes = sizeof(exo_traverse),
                       .flags = 0,
                       .reserved = 0};
    CHECK(call(grant.fd, EXO_GRANT_BATCH, &batch) == -E2BIG);
    batch.count = kMost;
    for (uint16_t engine : {EXO_ENGINE_AUTO, EXO_ENGINE_POLLED}) {
        if (engine == EXO_ENGINE_POLLED && !polled_works(rig)) {
            continue;
        }
        CAPTURE(engine);
        for (exo_traverse& entry : entries) {
            entry.engine = engine;
            entry.outcome = {};
        }
        REQUIRE(call(grant.fd, EXO_GRANT_BATCH, &batch) == 0);
        uint32_t done = 0;
        for (uint32_t i = 0; i < kMost; i++) {
            done += entries[i].outcome.cause == EXO_END_DONE && entries[i].outcome.hops == 3;
        }
        CHECK(done == kMost);
    }
    expect_idle();
}

TEST_SUITE_END();
