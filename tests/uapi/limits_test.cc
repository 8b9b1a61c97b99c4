// SPDX-License-Identifier: MIT
// What an administrator can set: each parameter at its bounds and outside of them, what
// EXO_IOC_INFO says of it, and that it holds, for grants that were opened before, too.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "parameter.h"
#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

exo_info info() {
    exo_info now = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &now) == 0);
    return now;
}

exo_grant_entry entry_of(const Fd& grant) {
    exo_grant_entry entry = {};
    REQUIRE(call(grant, EXO_GRANT_INFO, &entry) == 0);
    return entry;
}

exo_grant_open terms(uint32_t hop_limit, uint32_t in_flight_limit, uint32_t rate_reads = 0) {
    exo_grant_open request = {};
    request.hop_limit = hop_limit;
    request.in_flight_limit = in_flight_limit;
    request.rate_reads = rate_reads;
    return request;
}

struct Bound {
    const char* name;
    uint32_t at_first;
    uint32_t least;
    uint32_t most;
    uint32_t exo_info::* told;  // nullptr: not by EXO_IOC_INFO
};

const Bound kBounds[] = {
    {"default_hops", 256, 1, 65536, &exo_info::default_hops},
    {"max_hops", 65536, 1, 65536, &exo_info::max_hops},
    {"default_timeout_ms", 1000, 1, 30000, &exo_info::default_timeout_ms},
    {"max_timeout_ms", 30000, 1, 30000, &exo_info::max_timeout_ms},
    {"default_in_flight", 128, 1, 4096, &exo_info::default_in_flight},
    {"max_in_flight", 4096, 1, 4096, &exo_info::max_in_flight},
    {"max_grants_per_user", 16384, 1, 1 << 20, &exo_info::max_grants_per_user},
    {"max_grace_ms", 60000, 0, 60000, &exo_info::max_grace_ms},
    {"drain_timeout_ms", 60000, 1, 600000, &exo_info::drain_timeout_ms},
    {"fair_depth", 32, 1, 1024, nullptr},
    {"fair_keep_us", 500, 0, 10000, nullptr},
    {"step_budget_us", 500, 10, 10000, nullptr},
    {"node_cache_blocks", 0, 0, 4096, nullptr},
};

}  // namespace

TEST_SUITE_BEGIN("limits");

TEST_CASE("each parameter has a default, and takes what lies within its bounds") {
    for (const Bound& b : kBounds) {
        CAPTURE(b.name);
        Parameter parameter(b.name);
        CHECK(parameter.get() == std::to_string(b.at_first));
        CHECK((!b.told || info().*b.told == b.at_first));
        for (const std::string& bad :
             {std::to_string(b.least - 1LL), std::to_string(b.most + 1ULL), std::string("x"),
              std::string("4294967296"), std::string("-1")}) {
            CAPTURE(bad);
            int error = parameter.set(bad);
            CHECK((error == -EINVAL || error == -ERANGE));
            CHECK(parameter.get() == std::to_string(b.at_first));
        }
        for (uint32_t good : {b.least, b.least + 1, b.most - 1, b.most}) {
            CHECK(parameter.set(std::to_string(good)) == 0);
            CHECK(parameter.get() == std::to_string(good));
            CHECK((!b.told || info().*b.told == good));
        }
    }
}

TEST_CASE("hops") {
    Rig rig(64 * 4096);
    Opened before = rig.regrant(terms(UINT32_MAX, 0));
    REQUIRE(before.error == 0);
    CHECK(entry_of(before.fd).hop_limit == 65536);

    Parameter most("max_hops", 10);
    Opened after = rig.regrant(terms(UINT32_MAX, 0));
    CHECK(entry_of(after.fd).hop_limit == 10);
    CHECK(entry_of(rig.regrant(terms(9, 0)).fd).hop_limit == 9);
    // A default above the maximum is the maximum.
    CHECK(entry_of(rig.regrant().fd).hop_limit == 10);
    Parameter usual("default_hops", 5);
    CHECK(entry_of(rig.regrant().fd).hop_limit == 5);
    CHECK(entry_of(rig.grant).hop_limit == 256);

    const Program& stride = shared_program("test_stride");
    int32_t fds[] = {after.fd.get(), before.fd.get()};
    exo_set_create request = {.grant_fds = address(fds), .count = 2, .flags = 0};
    Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &request));
    REQUIRE(set);
    for (const Fd* fd : {&before.fd, &after.fd, &rig.grant, &set}) {
        for (uint32_t blocks : {9, 10, 11}) {
            CAPTURE(blocks);
            test_stride_args args = {.stride = 4096, .count = blocks, .len = 4096};
            Run r = run(*fd, stride.id(), args);
            CHECK(r.error == 0);
            CHECK(r.outcome.cause == (blocks > 10 ? EXO_END_HOP_LIMIT : EXO_END_DONE));
            CHECK(r.outcome.hops == std::min(blocks, 10U));
        }
    }
    // Raised again, it binds no more; what was opened under it keeps what it got.
    REQUIRE(most.set("65536") == 0);
    test_stride_args args = {.stride = 4096, .count = 11, .len = 4096};
    CHECK(run(before.fd, stride.id(), args).outcome.cause == EXO_END_DONE);
    CHECK(run(after.fd, stride.id(), args).outcome.cause == EXO_END_HOP_LIMIT);
}

TEST_CASE("time") {
    Rig rig(64 * 4096);
    // One read in a second, so that no traversal comes to its hop limit.
    Opened slow = rig.regrant(terms(UINT32_MAX, 0, 1));
    REQUIRE(slow.error == 0);
    const Program& stride = shared_program("test_stride");
    test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
    auto ends_after = [&](uint32_t asked, std::chrono::milliseconds wanted) {
        auto begun = std::chrono::steady_clock::now();
        Run r = run(slow.fd, stride.id(), for_ever, {.timeout_ms = asked});
        auto took = std::chrono::steady_clock::now() - begun;
        CHECK(r.outcome.cause == EXO_END_TIMEOUT);
        // The clock of deadlines ticks every 4 ms.
        CHECK(took > wanted - 5ms);
        CHECK(took < wanted + 400ms * slowness());
    };
    Parameter most("max_timeout_ms", 150);
    ends_after(30000, 150ms);
    ends_after(150, 150ms);
    ends_after(50, 50ms);
    ends_after(0, 150ms);
    Parameter usual("default_timeout_ms", 100);
    ends_after(0, 100ms);
    ends_after(150, 150ms);
}

TEST_CASE("traversals in flight") {
    Rig rig(64 * 4096);
    Opened before = rig.regrant(terms(UINT32_MAX, 8, 1));
    REQUIRE(before.error == 0);
    Parameter most("max_in_flight", 3);
    CHECK(entry_of(rig.regrant(terms(0, 4)).fd).in_flight_limit == 3);
    CHECK(entry_of(rig.regrant(terms(0, 2)).fd).in_flight_limit == 2);
    CHECK(entry_of(rig.regrant().fd).in_flight_limit == 3);
    Parameter usual("default_in_flight", 1);
    CHECK(entry_of(rig.regrant().fd).in_flight_limit == 1);
    CHECK(entry_of(before.fd).in_flight_limit == 8);

    const Program& stride = shared_program("test_stride");
    test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
    exo_traverse requests[4] = {};
    Ring ring(8);
    for (exo_traverse& request : requests) {
        request.program_id = stride.id();
        request.hop_bytes = 4096;
        request.timeout_ms = 30000;
        request.args = address(&for_ever);
        request.args_len = sizeof(for_ever);
        ring.push(before.fd.get(), &request, static_cast<uint64_t>(&request - requests));
    }
    ring.submit(4);
    Ring::Completion over = ring.reap();
    CHECK(over.data == 3);
    CHECK(over.res == -EBUSY);
    CHECK(entry_of(before.fd).in_flight == 3);
    CHECK(run(before.fd, stride.id(), for_ever).error == -EAGAIN);
    REQUIRE(unpin(rig.volume, kIno, kGeneration) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(ring.reap().res == EXO_END_REVOKED);
    }
}

TEST_CASE("grants of a user") {
    Rig rig;  // with one
    Parameter most("max_grants_per_user", 3);
    Opened second = rig.regrant();
    CHECK(second.error == 0);
    {
        Opened third = rig.regrant();
        CHECK(third.error == 0);
        CHECK(rig.regrant().error == -EUSERS);
        exo_grant_derive derive = {};
        CHECK(call(rig.grant, EXO_GRANT_DERIVE, &derive) == -EUSERS);
        // Lowered below what there is: nothing is taken away.
        REQUIRE(most.set("2") == 0);
        CHECK(rig.regrant().error == -EUSERS);
        CHECK(entry_of(third.fd).state == EXO_PIN_STATE_LIVE);
    }
    CHECK(rig.regrant().error == -EUSERS);
    REQUIRE(most.set("3") == 0);
    CHECK(rig.regrant().error == 0);
}

TEST_CASE("grace") {
    Rig rig;
    Parameter most("max_grace_ms", 50);
    auto begun = std::chrono::steady_clock::now();
    exo_grant_derive derive = {};
    Fd derived(call(rig.grant, EXO_GRANT_DERIVE, &derive));
    REQUIRE(derived);
    exo_grant_revoke revoke = {};
    revoke.grace_ms = 20000;
    CHECK(call(rig.grant, EXO_GRANT_REVOKE, &revoke) == 0);
    CHECK(unpin(rig.volume, kIno, kGeneration, 20000) == 0);
    auto took = std::chrono::steady_clock::now() - begun;
    CHECK(took >= 90ms);
    CHECK(took < 10s);
}

TEST_SUITE_END();
