// SPDX-License-Identifier: MIT
// The node cache: hot blocks are not read again, answers stay right when blocks push each other
// out, nothing is shown outside a grant, and nothing outlives its pin.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "rig.h"

using namespace exo::test;
using namespace std::chrono_literals;

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

constexpr const char* kCgroups = "/sys/fs/cgroup";

// A cgroup with the memory controller, into which this process goes for a while.
class Cgroup {
  public:
    explicit Cgroup(const char* name) : folder_(std::string(kCgroups) + "/" + name) {
        if (!std::filesystem::exists(std::string(kCgroups) + "/cgroup.controllers")) {
            REQUIRE(mount("cgroup2", kCgroups, "cgroup2", 0, nullptr) == 0);
        }
        write(std::string(kCgroups) + "/cgroup.subtree_control", "+memory");
        std::filesystem::create_directory(folder_);
        REQUIRE(std::filesystem::exists(folder_ + "/memory.current"));
    }
    ~Cgroup() { CHECK(rmdir(folder_.c_str()) == 0); }
    Cgroup(const Cgroup&) = delete;
    Cgroup& operator=(const Cgroup&) = delete;

    void inside(const std::function<void()>& what) {
        write(folder_ + "/cgroup.procs", "0");
        what();
        write(std::string(kCgroups) + "/cgroup.procs", "0");
    }
    uint64_t current() const { return read(folder_ + "/memory.current", ""); }
    uint64_t killed() const { return read(folder_ + "/memory.events", "oom_kill"); }
    // 0: without a bound.
    void set_max(uint64_t bytes) {
        write(folder_ + "/memory.max", bytes ? std::to_string(bytes) : "max");
    }

  private:
    static void write(const std::string& path, const std::string& text) {
        Fd fd = open_path(path, O_WRONLY);
        REQUIRE_MESSAGE(fd, path);
        REQUIRE_MESSAGE(::write(fd.get(), text.data(), text.size()) == ssize_t(text.size()), path);
    }
    static uint64_t read(const std::string& path, const std::string& name) {
        std::ifstream file(path);
        std::string key;
        uint64_t value = 0;
        while (!name.empty() && key != name && file >> key) {
        }
        file >> value;
        REQUIRE_MESSAGE(file, path);
        return value;
    }

    std::string folder_;
};

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

TEST_CASE("what is kept is charged to whoever pins, and is done without where there is no room") {
    constexpr uint64_t kFileBytes = 16 * kMiB;
    const test_chain_result expected = write_chain(device_path(), 20, kSpan);
    Cgroup group("exo-cache");
    auto measure = [&] {
        Rig rig(kFileBytes);
        follow(rig.grant, expected);
        return std::pair(group.current(), follow(rig.grant, expected).cached);
    };
    uint64_t without = 0;
    group.inside([&] { without = measure().first; });
    // Given back with the pin, if not at once. What the kernel keeps of other things is not much.
    auto given_back = [&] {
        for (int i = 0; i < 100 && group.current() > without + kFileBytes / 4; i++) {
            std::this_thread::sleep_for(50ms);
        }
        return group.current() <= without + kFileBytes / 4;
    };
    {
        Blocks blocks(4096);
        std::pair<uint64_t, uint32_t> with;
        group.inside([&] { with = measure(); });
        CHECK(with.second > 0);
        CHECK(with.first > without + kFileBytes * 9 / 10);
        CHECK(with.first < without + kFileBytes * 3 / 2);

        // Half of it would not fit; nobody is killed for that.
        CHECK(given_back());
        group.set_max(group.current() + kFileBytes / 2);
        group.inside([&] { with = measure(); });
        CHECK(with.second == 0);
        CHECK(group.killed() == 0);
        group.set_max(0);
    }
    CHECK(given_back());
}

TEST_CASE("the room is bounded") {
    CHECK(!Blocks::set(4097));
    CHECK(Blocks::set(4096));
    CHECK(Blocks::set(0));
}

TEST_SUITE_END();
