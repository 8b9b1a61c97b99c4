// SPDX-License-Identifier: MIT
// Several reads of one traversal at once, by every engine: all arrive once, limits hold, and
// nothing stays behind when one of them is refused or all are cut off.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "rig.h"
#include "tree.h"

using namespace exo::test;

namespace {

constexpr uint16_t kEngines[] = {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED,
                                 EXO_ENGINE_DISPATCH};

// Walks a tree; the result of the program is in `tree_result`.
Run walk(const Fd& grant, uint16_t engine, uint16_t fan_out, test_tree_result* tree_result,
         uint32_t hop_limit = 0) {
    Run r = run(grant.get(), shared_program("test_tree").id(), nullptr, 0,
                {.hop_limit = hop_limit,
                 .timeout_ms = 20000,
                 .result_len = sizeof(test_tree_result),
                 .engine = engine,
                 .fan_out = fan_out});
    memcpy(tree_result, r.result.data(), sizeof(*tree_result));
    return r;
}

// What the device cannot do is refused as a whole.
bool served(const Run& r, uint16_t engine) {
    if (r.error != -EOPNOTSUPP) {
        return true;
    }
    CHECK((engine == EXO_ENGINE_POLLED || engine == EXO_ENGINE_COMPLETION));
    return false;
}

}  // namespace

TEST_SUITE_BEGIN("fan-out");

TEST_CASE("every block of a tree arrives once, whatever the engine and the fan-out") {
    Tree tree = write_tree(device_path(), 1, 200, 12);
    Rig rig(kTreeFileBytes);
    for (uint16_t engine : kEngines) {
        for (uint16_t fan_out : {0, 1, 2, 5, 16}) {
            CAPTURE(engine);
            CAPTURE(fan_out);
            test_tree_result result;
            Run r = walk(rig.grant, engine, fan_out, &result);
            if (!served(r, engine)) {
                continue;
            }
            REQUIRE(r.error == 0);
            CHECK(r.outcome.cause == EXO_END_DONE);
            CHECK(r.outcome.value == tree.blocks);
            CHECK(r.outcome.hops == tree.blocks);
            CHECK(result.sum == tree.sum);
            CHECK(result.most_pending == (fan_out ? fan_out - 1 : 0));
            CHECK(result.refused > 0);
            const exo_outcome& out = r.outcome;
            CHECK(out.direct + out.deferred + out.polled + out.dispatched == tree.blocks - 1);
            if (engine) {
                CHECK(out.engine == engine);
                CHECK(out.engine_reason == EXO_REASON_ASKED);
            } else {
                CHECK((out.engine == EXO_ENGINE_COMPLETION || out.engine == EXO_ENGINE_DISPATCH));
                CHECK(out.engine_reason != EXO_REASON_ASKED);
            }
        }
    }
    CHECK(stats().traversals_in_flight == 0);
}

TEST_CASE("the hop limit counts all reads") {
    write_tree(device_path(), 1, 200, 16);
    Rig rig(kTreeFileBytes);
    for (uint16_t engine : {EXO_ENGINE_AUTO, EXO_ENGINE_DISPATCH}) {
        for (uint32_t limit : {1u, 2u, 10u, 17u, 18u, 199u}) {
            CAPTURE(limit);
            test_tree_result result;
            Run r = walk(rig.grant, engine, 16, &result, limit);
            REQUIRE(r.error == 0);
            CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
            // Those in flight at the end are not handed to the program.
            CHECK(r.outcome.hops <= limit);
        }
        test_tree_result result;
        CHECK(walk(rig.grant, engine, 16, &result, 200).outcome.cause == EXO_END_DONE);
    }
}

TEST_CASE("a read that is refused ends the traversal, once the others have come") {
    Tree tree = write_tree(device_path(), 1, 100, 16);
    Rig rig(kTreeFileBytes);
    // Some of the tree's blocks lie behind the grant's end.
    exo_grant_open request = {};
    request.range_len = kTreeFileBytes / 2;
    Opened half = rig.regrant(request);
    REQUIRE(half.error == 0);
    for (uint16_t engine : kEngines) {
        CAPTURE(engine);
        test_tree_result result;
        Run r = walk(half.fd, engine, 16, &result);
        if (!served(r, engine)) {
            continue;
        }
        REQUIRE(r.error == 0);
        CHECK(r.outcome.cause == EXO_END_OUT_OF_RANGE);
        CHECK(r.outcome.file_offset >= kTreeFileBytes / 2);
        CHECK(r.outcome.hops < tree.blocks);
        exo_grant_entry entry = {};
        REQUIRE(call(half.fd, EXO_GRANT_INFO, &entry) == 0);
        CHECK(entry.in_flight == 0);
    }
}

TEST_CASE("sixteen reads without end are cut off by time, by the hop limit and by revocation") {
    Rig rig(kTreeFileBytes);
    const Program& explode = shared_program("test_explode");
    for (uint16_t engine : kEngines) {
        CAPTURE(engine);
        RunOptions options = {.timeout_ms = 300, .engine = engine, .fan_out = 16};
        options.hop_bytes = std::max(4096u, rig.info.logical_block_bytes);
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        Opened endless = rig.regrant(request);
        REQUIRE(endless.error == 0);
        Run r = run(endless.fd.get(), explode.id(), nullptr, 0, options);
        if (!served(r, engine)) {
            continue;
        }
        // A fast device reaches the limit within the time.
        CHECK((r.outcome.cause == EXO_END_TIMEOUT || r.outcome.cause == EXO_END_HOP_LIMIT));
        CHECK(r.outcome.hops > 16);

        options.timeout_ms = 20000;
        options.hop_limit = 1000;
        r = run(rig.grant.get(), explode.id(), nullptr, 0, options);
        CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);

        // The revocation comes when all sixteen are in flight.
        options.hop_limit = 0;
        std::thread revoker([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            exo_grant_revoke revoke = {};
            revoke.flags = EXO_REVOKE_SELF;
            CHECK(call(endless.fd, EXO_GRANT_REVOKE, &revoke) == 0);
        });
        do {
            r = run(endless.fd.get(), explode.id(), nullptr, 0, options);
        } while (r.error == 0 && r.outcome.cause == EXO_END_HOP_LIMIT);
        revoker.join();
        bool revoked = r.error == -EKEYREVOKED || r.outcome.cause == EXO_END_REVOKED;
        CHECK(revoked);
    }
    CHECK(stats().traversals_in_flight == 0);
}

TEST_CASE("callers that are killed with sixteen reads in flight leave nothing behind") {
    {
        Rig rig(kTreeFileBytes);
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        Opened endless = rig.regrant(request);
        REQUIRE(endless.error == 0);
        uint32_t explode = shared_program("test_explode").id();
        RunOptions options = {.timeout_ms = 20000, .fan_out = 16};
        options.hop_bytes = std::max(4096u, rig.info.logical_block_bytes);
        for (int i = 0; i < 12; i++) {
            options.engine = kEngines[i % 4];
            pid_t child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                for (;;) {
                    run(endless.fd.get(), explode, nullptr, 0, options);
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10 + i));
            REQUIRE(kill(child, SIGKILL) == 0);
            int status = 0;
            REQUIRE(waitpid(child, &status, 0) == child);
            CHECK(WTERMSIG(status) == SIGKILL);
            expect_idle();
        }
    }
    CHECK(stats().grants == 0);
}

TEST_CASE("many trees at once, in a batch") {
    Tree tree = write_tree(device_path(), 1, 200, 12);
    Rig rig(kTreeFileBytes);
    constexpr size_t kTrees = 20;
    std::vector<test_tree_result> results(kTrees);
    std::vector<exo_traverse> entries(kTrees);
    for (size_t i = 0; i < kTrees; i++) {
        exo_traverse& entry = entries[i];
        entry.program_id = shared_program("test_tree").id();
        entry.hop_bytes = 4096;
        entry.timeout_ms = 20000;
        entry.result = reinterpret_cast<uint64_t>(&results[i]);
        entry.result_len = sizeof(results[i]);
        entry.fan_out = static_cast<uint16_t>(1 + i % 16);
        entry.engine = i % 2 ? EXO_ENGINE_AUTO : EXO_ENGINE_DISPATCH;
    }
    exo_batch batch = {.traversals = reinterpret_cast<uint64_t>(entries.data()),
                       .count = kTrees,
                       .entry_bytes = sizeof(exo_traverse),
                       .flags = 0,
                       .reserved = 0};
    REQUIRE(call(rig.grant, EXO_GRANT_BATCH, &batch) == 0);
    for (size_t i = 0; i < kTrees; i++) {
        CAPTURE(i);
        CHECK(entries[i].outcome.cause == EXO_END_DONE);
        CHECK(results[i].blocks == tree.blocks);
        CHECK(results[i].sum == tree.sum);
    }
    expect_idle();
}

TEST_CASE("only dispatch serves a device without a hardware queue, and auto says so" *
          doctest::skip(!std::getenv("EXO_TEST_DISPATCH_ONLY"))) {
    Rig rig;
    uint32_t act = shared_program("test_act").id();
    test_act_args args = {};
    CHECK(run(rig.grant, act, args, {.engine = EXO_ENGINE_COMPLETION}).error == -EOPNOTSUPP);
    CHECK(run(rig.grant, act, args, {.engine = EXO_ENGINE_POLLED}).error == -EOPNOTSUPP);
    CHECK(run(rig.grant, act, args, {.engine = EXO_ENGINE_DISPATCH}).error == 0);
    Run r = run(rig.grant, act, args);
    CHECK(r.error == 0);
    CHECK(r.outcome.engine == EXO_ENGINE_DISPATCH);
    CHECK(r.outcome.engine_reason == EXO_REASON_DEVICE);
}

TEST_CASE("arguments of fan-out and engine") {
    Rig rig;
    uint32_t act = shared_program("test_act").id();
    test_act_args args = {};
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    auto fan_out = static_cast<uint16_t>(info.max_fan_out);
    CHECK(run(rig.grant, act, args, {.fan_out = fan_out}).error == 0);
    CHECK(run(rig.grant, act, args, {.fan_out = ++fan_out}).error == -EINVAL);
    CHECK(run(rig.grant, act, args, {.fan_out = UINT16_MAX}).error == -EINVAL);
    CHECK(run(rig.grant, act, args, {.engine = EXO_ENGINE_DISPATCH + 1}).error == -EINVAL);
    CHECK(run(rig.grant, act, args, {.engine = UINT16_MAX}).error == -EINVAL);
    CHECK(run(rig.grant, act, args, {.slot = 1}).error == -EINVAL);
}

TEST_SUITE_END();
