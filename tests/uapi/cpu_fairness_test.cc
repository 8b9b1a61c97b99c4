// SPDX-License-Identifier: MIT
// Who gets how much of the processors beside a program whose steps compute for long.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "rig.h"
#include "tenants.h"

using namespace exo::test;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("fairness");

TEST_CASE("a program that computes for long is left to workers, and its neighbours go on") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Competitor light = {.uid = 1001, .in_flight = 2, .hops = 8};
    Competitor spinner = {.uid = 1002, .in_flight = 4, .hops = 16, .program = "test_spin"};
    spinner.rounds = 30000;
    const Competitor ordinary = {.uid = 1003, .computes = true};
    // Its fair part is half of what it has alone, or what is left to it beside an ordinary program.
    double part = 0;
    for (int attempt = 0; attempt < 6 && part < 0.8; attempt++) {
        const double alone = compete(rig, {light}, 1000ms)[0].reads;
        const double beside = compete(rig, {light, ordinary}, 1000ms)[0].reads;
        const std::vector<Share> both = compete(rig, {light, spinner}, 1000ms);
        part = std::max(part, both[0].reads / std::min(alone / 2, beside));
        CHECK(both[1].reads > 0);
    }
    MESSAGE("of its fair part it had " << part);
    CHECK(part >= 0.8);
    CHECK(program_entry(shared_program("test_spin").id()).slow > 0);
}

TEST_CASE("a tenant that computes keeps its half beside one with hundreds in flight") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    Competitor light = {.uid = 1001, .in_flight = 4, .hops = 16, .program = "test_spin"};
    light.rounds = 20000;
    Competitor greedy = light;
    greedy.uid = 1002;
    greedy.in_flight = 256;
    double part = 0;
    for (int attempt = 0; attempt < 6 && part < 0.4; attempt++) {
        const std::vector<Share> shares = compete(rig, {light, greedy}, 2000ms);
        part = shares[0].cpu / (shares[0].cpu + shares[1].cpu);
    }
    MESSAGE("its part of the time of workers: " << part);
    CHECK(part >= 0.8 * 0.5);
}

TEST_CASE("what a tenant has had is not forgotten when it closes its grants") {
    Rig rig(64 * 4096);
    REQUIRE(run(rig.grant, shared_program("test_stride").id(), test_stride_args{4096, 8, 4096}, {})
                .error == 0);
    const exo_tenant_entry before = tenant(0);
    CHECK(before.reads == 8);
    rig.grant.reset();
    CHECK(tenant(0).tenant_id == 0);
    Opened again = rig.regrant();
    REQUIRE(again.error == 0);
    const exo_tenant_entry after = tenant(0);
    CHECK(after.tenant_id == before.tenant_id);
    CHECK(after.cpu_ns >= before.cpu_ns);
    CHECK(after.reads == 8);
}

TEST_CASE("workers' time is shared by weight") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    Competitor one = {
        .uid = 1001, .in_flight = 4, .weight = 100, .hops = 16, .program = "test_spin"};
    one.rounds = 20000;
    Competitor three = one;
    three.uid = 1002;
    three.weight = 300;
    double ratio = 0;
    for (int attempt = 0; attempt < 6 && ratio != doctest::Approx(3).epsilon(0.25); attempt++) {
        const std::vector<Share> shares = compete(rig, {one, three}, 2500ms);
        ratio = shares[1].cpu / shares[0].cpu;
    }
    CHECK(ratio == doctest::Approx(3).epsilon(0.25));
}

TEST_CASE("a program over its budget goes on in workers, stays there, and comes back") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const uint32_t spin = shared_program("test_spin").id();
    const test_spin_args once = {.stride = {4096, 1, 4096}, .rounds = 0, .reserved = 0};
    if (run(rig.grant, spin, once, {.engine = EXO_ENGINE_COMPLETION}).error) {
        return;  // the device has no such engine
    }
    auto steps = [&](uint32_t count, uint32_t rounds, const Fd& grant) {
        test_spin_args args = {.stride = {4096, count, 4096}, .rounds = rounds, .reserved = 0};
        Run r = run(grant, spin, args,
                    {.hop_limit = count, .timeout_ms = 30000, .engine = EXO_ENGINE_COMPLETION});
        CHECK(r.error == 0);
        CHECK(r.outcome.cause == EXO_END_DONE);
        return r.outcome;
    };
    // In as many traversals as it takes, since a busy host makes single steps long.
    auto some_direct = [&](const Fd& grant) {
        for (int i = 0; i < 20; i++) {
            if (steps(100, 0, grant).direct) {
                return true;
            }
        }
        return false;
    };
    // The same for workers. Where a read is done before its issuer has let go of it, that one goes on: half of
    // them where the host is busy.
    auto deferred_but = [&](uint32_t direct, uint32_t count, uint32_t rounds) {
        for (int i = 0; i < 20; i++) {
            exo_outcome outcome = steps(count, rounds, rig.grant);
            if (outcome.direct <= direct && 2 * (outcome.deferred + direct) >= count) {
                return true;
            }
        }
        return false;
    };
    // Where interrupts issue nothing a few count as such all the same: those that the call issues
    // which starts the traversal.
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    const bool direct = (info.features & EXO_FEATURE_DIRECT_ISSUE) && some_direct(rig.grant);
    const uint32_t kLong = 30000;

    // After a long step the next ones are workers'. Each CPU has to see one for itself.
    const uint64_t slow = program_entry(spin).slow;
    CHECK(deferred_but(2, 12, kLong));
    if (direct) {
        CHECK(program_entry(spin).slow > slow);
    }

    // Again and again: now they all are, with interrupts on, and those that are quick as well.
    steps(64, kLong, rig.grant);
    const uint64_t then = program_entry(spin).slow;
    CHECK(deferred_but(0, 8, kLong));
    CHECK(program_entry(spin).slow == then);
    CHECK(deferred_but(0, 8, 0));

    // Somebody else's, with other arguments, never left.
    pid_t child = fork();
    if (child == 0) {
        bool fine = !setresuid(1001, 1001, 1001);
        Opened mine = rig.regrant();
        _exit(fine && !mine.error && (!direct || some_direct(mine.fd)) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);

    // And it cools down.
    for (int i = 0; i < 10; i++) {
        steps(200, 0, rig.grant);
    }
    if (direct) {
        CHECK(some_direct(rig.grant));
    }
}

TEST_SUITE_END();
