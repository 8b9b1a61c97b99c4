// SPDX-License-Identifier: MIT
// The node cache: hot blocks are not read again, answers stay right when blocks push each other
// out, nothing is shown outside a grant, and nothing outlives its pin.
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "rig.h"

using namespace exo::test;

namespace {

constexpr const char* kParameter = "/sys/module/exo/parameters/node_cache_blocks";

// For pins that are made while it lives.
class Blocks {
  public:
    explicit Blocks(unsigned count) { set(count); }
    ~Blocks() { set(0); }
    Blocks(const Blocks&) = delete;
    Blocks& operator=(const Blocks&) = delete;

    static bool set(unsigned count) {
        std::ofstream file(kParameter);
        file << count << std::flush;
        return file.good();
    }
};

constexpr uint32_t kSpan = 64;

// Follows the chain; fails the test unless it finds what was written.
exo_outcome follow(const Fd& grant, const test_chain_result& expected) {
    Run r = run(grant.get(), shared_program("test_chain").id(), nullptr, 0, {.timeout_ms = 20000});
    REQUIRE(r.error == 0);
    REQUIRE(r.outcome.cause == EXO_END_DONE);
    test_chain_result result;
    memcpy(&result, r.result.data(), sizeof(result));
    CHECK(result.blocks == expected.blocks);
    CHECK(result.sum == expected.sum);
    return r.outcome;
}

}  // namespace

TEST_SUITE_BEGIN("cache");

TEST_CASE("without room nothing is kept") {
    test_chain_result expected = write_chain(device_path(), 20, kSpan);
    Rig rig(kSpan * 4096);
    for (int i = 0; i < 3; i++) {
        CHECK(follow(rig.grant, expected).cached == 0);
    }
}

TEST_CASE("blocks that were read are not read again, by any grant of the file") {
    Blocks blocks(1024);
    test_chain_result expected = write_chain(device_path(), 20, kSpan);
    Rig rig(kSpan * 4096);
    CHECK(follow(rig.grant, expected).cached == 0);
    exo_stats before = stats();
    // The table has more room than the chain has blocks, but two of them may share a place.
    exo_outcome out = follow(rig.grant, expected);
    CHECK(out.cached >= 12);
    CHECK(out.cached + out.holes <= out.hops);
    exo_stats after = stats();
    CHECK(after.cached - before.cached == out.cached);
    CHECK(after.bytes - before.bytes == (out.hops - out.cached) * 4096);
    Opened other = rig.regrant();
    REQUIRE(other.error == 0);
    CHECK(follow(other.fd, expected).cached >= 12);
}

TEST_CASE("a block that is kept is no way around a grant's range") {
    Blocks blocks(1024);
    test_chain_result expected = write_chain(device_path(), 20, kSpan);
    Rig rig(kSpan * 4096);
    follow(rig.grant, expected);
    follow(rig.grant, expected);
    exo_grant_open request = {};
    request.range_len = 4096;
    Opened narrow = rig.regrant(request);
    REQUIRE(narrow.error == 0);
    Run r = run(narrow.fd.get(), shared_program("test_chain").id(), nullptr, 0);
    CHECK(r.outcome.cause == EXO_END_OUT_OF_RANGE);
    CHECK(r.outcome.hops == 1);
}

TEST_CASE("answers are right while blocks push each other out") {
    Blocks blocks(8);
    test_chain_result expected = write_chain(device_path(), 60, kSpan);
    Rig rig(kSpan * 4096);
    std::atomic<uint64_t> cached = 0;
    std::atomic<uint32_t> wrong = 0;
    uint32_t chain = shared_program("test_chain").id();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] {
            for (int round = 0; round < 30; round++) {
                Run r = run(rig.grant.get(), chain, nullptr, 0, {.timeout_ms = 20000});
                test_chain_result result;
                memcpy(&result, r.result.data(), sizeof(result));
                wrong += r.error || result.sum != expected.sum || result.blocks != expected.blocks;
                cached += r.outcome.cached;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(wrong == 0);
    CHECK(cached > 0);
}

TEST_CASE("a file that is pinned again is read again") {
    Blocks blocks(1024);
    test_chain_result expected = write_chain(device_path(), 20, kSpan);
    for (uint32_t length : {20u, 30u}) {
        expected = write_chain(device_path(), length, kSpan);
        Rig rig(kSpan * 4096);
        CHECK(follow(rig.grant, expected).cached == 0);
        CHECK(follow(rig.grant, expected).cached > 0);
    }
}

TEST_CASE("the room is bounded") {
    CHECK(!Blocks::set(4097));
    CHECK(Blocks::set(4096));
    CHECK(Blocks::set(0));
}

TEST_SUITE_END();
