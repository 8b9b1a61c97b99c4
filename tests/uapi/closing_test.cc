// SPDX-License-Identifier: MIT
// Descriptors that are closed while traversals run on them: a grant, a set, what a grant was
// derived from. All in flight end as they would have, and a revocation finds every one of them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "rig.h"
#include "ring.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

constexpr uint32_t kAtOnce = 16;

enum class Closed { kGrant, kSet, kParent };

// Traversals on a descriptor that is about to be closed, held back by a rate so that they are all
// in flight for a while.
struct Scene {
    Scene(Closed what, uint32_t reads_in_a_second) : rig(64 * 4096) {
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        request.rate_reads = reads_in_a_second;
        request.file_fd = rig.file.get();
        Fd grant(call(open_exo(), EXO_IOC_GRANT_OPEN, &request));
        REQUIRE(grant);
        grant_id = request.grant_id;
        rig.grant.reset();
        closed = std::move(grant);
        if (what == Closed::kSet) {
            int32_t fd = closed.get();
            exo_set_create create = {.grant_fds = address(&fd), .count = 1, .flags = 0};
            Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &create));
            REQUIRE(set);
            closed = std::move(set);
        } else if (what == Closed::kParent) {
            exo_grant_derive derive = {};
            derived = Fd(call(closed, EXO_GRANT_DERIVE, &derive));
            REQUIRE(derived);
        }
    }
    bool can_poll() const {
        test_act_args done = {};
        return run(used(), shared_program("test_act").id(), done, {.engine = EXO_ENGINE_POLLED})
                   .error != -EOPNOTSUPP;
    }
    const Fd& used() const { return derived ? derived : closed; }

    std::vector<exo_traverse> requests(uint32_t blocks) {
        args = {.stride = 4096, .count = blocks, .len = 4096};
        exo_traverse one = {};
        one.program_id = shared_program("test_stride").id();
        one.hop_bytes = 4096;
        one.timeout_ms = 30000;
        one.args = address(&args);
        one.args_len = sizeof(args);
        return std::vector<exo_traverse>(kAtOnce, one);
    }

    Rig rig;
    Fd closed;
    Fd derived;
    uint64_t grant_id = 0;
    test_stride_args args = {};
};

int revoke_by_number(uint64_t id) {
    exo_revoke_id request = {};
    request.grant_id = id;
    return call(open_exo(), EXO_IOC_REVOKE_ID, &request);
}

void expect_no_grants() {
    // A ring lets go of its files a moment after the last completion.
    for (int i = 0; i < 500 && stats().grants; i++) {
        std::this_thread::sleep_for(10ms);
    }
    CHECK(stats().grants == 0);
}

bool wait_for_in_flight(uint64_t count) {
    for (int i = 0; i < 1000 && stats().traversals_in_flight < count; i++) {
        std::this_thread::sleep_for(10ms);
    }
    return stats().traversals_in_flight >= count;
}

}  // namespace

TEST_SUITE_BEGIN("closing");

TEST_CASE("what a ring has in flight when its descriptor is closed ends as it would have") {
    for (Closed what : {Closed::kGrant, Closed::kSet, Closed::kParent}) {
        for (unsigned flags : {0U, unsigned{IORING_SETUP_IOPOLL}}) {
            CAPTURE(static_cast<int>(what));
            CAPTURE(flags);
            Scene scene(what, 100);
            if (flags && !scene.can_poll()) {
                CHECK(!on_nvme());
                continue;
            }
            std::vector<exo_traverse> requests = scene.requests(4);
            Ring ring(kAtOnce, flags);
            for (uint32_t i = 0; i < kAtOnce; i++) {
                ring.push(scene.used().get(), &requests[i], i);
            }
            ring.submit(kAtOnce);
            CHECK(stats().traversals_in_flight > 0);
            scene.closed.reset();
            CHECK(stats().traversals_in_flight > 0);
            for (uint32_t i = 0; i < kAtOnce; i++) {
                CHECK(ring.reap().res == EXO_END_DONE);
            }
            for (const exo_traverse& request : requests) {
                CHECK(request.outcome.hops == 4);
            }
            CHECK(stats().traversals_in_flight == 0);
            scene.derived.reset();
            expect_no_grants();
        }
    }
}

TEST_CASE("what is in flight when its descriptor is closed is found by revocation and unpin") {
    for (Closed what : {Closed::kGrant, Closed::kSet, Closed::kParent}) {
        for (bool by_number : {false, true}) {
            CAPTURE(static_cast<int>(what));
            CAPTURE(by_number);
            Scene scene(what, 1);
            std::vector<exo_traverse> requests = scene.requests(0);
            Ring ring(kAtOnce);
            for (uint32_t i = 0; i < kAtOnce; i++) {
                ring.push(scene.used().get(), &requests[i], i);
            }
            ring.submit(kAtOnce);
            REQUIRE(wait_for_in_flight(kAtOnce));
            scene.closed.reset();
            CHECK(stats().traversals_in_flight == kAtOnce);
            exo_unpin ended = {};
            if (by_number) {
                // The ring keeps what it works on open; a parent that is closed has no number.
                CHECK(revoke_by_number(scene.grant_id) == (what == Closed::kParent ? -ENOENT : 0));
                CHECK(stats().traversals_in_flight == (what == Closed::kParent ? kAtOnce : 0));
            }
            REQUIRE(unpin(scene.rig.volume, kIno, kGeneration, 0, &ended) == 0);
            CHECK(stats().traversals_in_flight == 0);
            // Of those that were cut, how many had not ended when they were counted.
            CHECK(ended.drained_traversals <= kAtOnce);
            for (uint32_t i = 0; i < kAtOnce; i++) {
                CHECK(ring.reap().res == EXO_END_REVOKED);
            }
            scene.derived.reset();
            expect_no_grants();
        }
    }
}

TEST_CASE("a batch whose descriptor another thread closes ends as it would have, or is revoked") {
    for (Closed what : {Closed::kGrant, Closed::kSet, Closed::kParent}) {
        for (bool revoked : {false, true}) {
            CAPTURE(static_cast<int>(what));
            CAPTURE(revoked);
            Scene scene(what, revoked ? 1 : 100);
            // Some end before others have begun.
            std::vector<exo_traverse> requests = scene.requests(revoked ? 0 : 8);
            int fd = scene.used().get();
            int answer = 1;
            std::thread batch([&] {
                exo_batch request = {.traversals = address(requests.data()),
                                     .count = kAtOnce,
                                     .entry_bytes = sizeof(exo_traverse),
                                     .flags = 0,
                                     .reserved = 0};
                answer = call(fd, EXO_GRANT_BATCH, &request);
            });
            CHECK(wait_for_in_flight(revoked ? kAtOnce : 1));
            scene.closed.reset();
            CHECK(stats().traversals_in_flight > 0);
            if (revoked) {
                exo_unpin ended = {};
                CHECK(unpin(scene.rig.volume, kIno, kGeneration, 0, &ended) == 0);
                CHECK(ended.drained_traversals <= kAtOnce);
            }
            batch.join();
            CHECK(answer == 0);
            for (const exo_traverse& request : requests) {
                CHECK(request.outcome.cause == (revoked ? EXO_END_REVOKED : EXO_END_DONE));
            }
            scene.derived.reset();
            expect_no_grants();
        }
    }
}

TEST_SUITE_END();
