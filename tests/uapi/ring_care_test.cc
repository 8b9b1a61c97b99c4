// SPDX-License-Identifier: MIT
// What rings ask of the module beyond traversals: results in registered buffers, whatever happens
// to these, several reads at once, and rings that nobody reaps.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <thread>

#include "rig.h"
#include "ring.h"
#include "slow.h"
#include "tree.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

// Everything that a traversal of test_tree writes.
struct Place {
    test_tree_result result;
    uint8_t block[4096];
    exo_traverse traverse;
    exo_outcome outcome;
};

constexpr size_t kBytes = (sizeof(Place) + 4095) / 4096 * 4096;

// Pages of their own, so that they can be unmapped.
struct Pages {
    explicit Pages(size_t count = 1) : bytes(count * kBytes) {
        void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(p != MAP_FAILED);
        start = static_cast<uint8_t*>(p);
    }
    ~Pages() { munmap(start, bytes); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    Place& place(size_t index = 0) { return *reinterpret_cast<Place*>(start + index * kBytes); }
    iovec vector() const { return {start, bytes}; }

    size_t bytes;
    uint8_t* start;
};

void fill(Place& place, uint16_t fan_out = 1) {
    place = {};
    place.traverse.flags = EXO_TRAVERSE_LAST_BLOCK;
    place.traverse.program_id = shared_program("test_tree").id();
    place.traverse.hop_bytes = 4096;
    place.traverse.timeout_ms = 20000;
    place.traverse.fan_out = fan_out;
    place.traverse.result = address(&place.result);
    place.traverse.result_len = sizeof(place.result);
    place.traverse.blocks = address(&place.block);
    place.traverse.blocks_len = sizeof(place.block);
}

exo_uring_traverse whole(const Place& place) {
    exo_uring_traverse command = {};
    memcpy(&command, &place.traverse, offsetof(exo_traverse, outcome));
    command.outcome = address(&place.outcome);
    return command;
}

void push(Ring& ring, const Fd& grant, Place& place, bool big, uint16_t buffer, uint64_t data = 0) {
    if (big) {
        ring.push(grant.get(), whole(place), data);
    } else {
        ring.push(grant.get(), &place.traverse, data);
    }
    ring.use_buffer(buffer);
}

void check(const Place& place, const Tree& tree, bool big) {
    const exo_outcome& out = big ? place.outcome : place.traverse.outcome;
    CHECK(out.cause == EXO_END_DONE);
    CHECK(out.hops == tree.blocks);
    CHECK(out.value == tree.blocks);
    CHECK(out.blocks == 1);
    CHECK(place.result.sum == tree.sum);
    test_tree_block last = {};
    memcpy(&last, place.block, sizeof(last));
    CHECK(last.value % 1000003 == 0);
    CHECK(last.value > 0);
}

bool polled_works(const Rig& rig) {
    return run(rig.grant.get(), shared_program("test_tree").id(), nullptr, 0,
               {.result_len = sizeof(test_tree_result), .engine = EXO_ENGINE_POLLED})
               .error == 0;
}

bool wait_for_idle(std::chrono::milliseconds limit) {
    auto end = std::chrono::steady_clock::now() + limit;
    while (stats().traversals_in_flight) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

}  // namespace

TEST_SUITE_BEGIN("ring-care");

TEST_CASE("results in registered buffers, in every kind of ring and with every fan-out") {
    constexpr size_t kCount = 24;
    Tree tree = write_tree(device_path(), 1, 90, 12);
    Rig rig(kTreeFileBytes);
    bool polled = polled_works(rig);
    for (unsigned flags :
         {0u, unsigned{IORING_SETUP_SQE128}, unsigned{IORING_SETUP_IOPOLL},
          IORING_SETUP_IOPOLL | IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
          IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN}) {
        if (flags & IORING_SETUP_IOPOLL && !polled) {
            continue;
        }
        for (uint16_t fan_out : {1, 5, 16}) {
            CAPTURE(flags);
            CAPTURE(fan_out);
            bool big = flags & IORING_SETUP_SQE128;
            Pages first, second(kCount);
            Ring ring(64, flags);
            iovec vectors[] = {first.vector(), second.vector()};
            REQUIRE(io_uring_register_buffers(ring.raw(), vectors, 2) == 0);
            for (size_t i = 0; i < kCount; i++) {
                fill(second.place(i), fan_out);
                push(ring, rig.grant, second.place(i), big, 1, i);
            }
            ring.submit(kCount);
            for (size_t i = 0; i < kCount; i++) {
                Ring::Completion c = ring.reap();
                REQUIRE(c.res == EXO_END_DONE);
                check(second.place(c.data), tree, big);
            }
        }
    }
    expect_idle();
}

TEST_CASE("places outside of the registered buffer are refused before anything is read") {
    Tree tree = write_tree(device_path(), 1, 20, 12);
    Rig rig(kTreeFileBytes);
    Pages good, other;
    Ring ring(8, IORING_SETUP_SQE128);
    iovec vectors[] = {other.vector(), good.vector(), {nullptr, 0}};
    REQUIRE(io_uring_register_buffers(ring.raw(), vectors, 3) == 0);
    uint64_t started = stats().traversals;
    uint64_t end = address(good.start) + good.bytes;
    struct {
        const char* what;
        uint16_t index;
        uint64_t result, blocks, outcome;
    } table[] = {
        {"another buffer", 0, 0, 0, 0},
        {"an empty slot", 2, 0, 0, 0},
        {"no such buffer", 3, 0, 0, 0},
        {"no such buffer at all", 0xffff, 0, 0, 0},
        {"the result just outside", 1, end - sizeof(test_tree_result) + 1, 0, 0},
        {"the result just before", 1, address(good.start) - 1, 0, 0},
        {"the blocks just outside", 1, 0, end - 4095, 0},
        {"the outcome just outside", 1, 0, 0, end - sizeof(exo_outcome) + 1},
        {"the result at the end of the address space", 1, ~0ULL - 8, 0, 0},
        {"the result in the kernel", 1, 0xffff888000000000, 0, 0},
        {"the outcome in the other buffer", 1, 0, 0, address(&other.place().outcome)},
    };
    for (const auto& row : table) {
        CAPTURE(row.what);
        fill(good.place());
        exo_uring_traverse command = whole(good.place());
        command.result = row.result ? row.result : command.result;
        command.blocks = row.blocks ? row.blocks : command.blocks;
        command.outcome = row.outcome ? row.outcome : command.outcome;
        ring.push(rig.grant.get(), command, 1);
        ring.use_buffer(row.index);
        ring.submit(1);
        CHECK(ring.reap().res == -EFAULT);
    }
    CHECK(stats().traversals == started);

    // Before everything else that is wrong, and a length of nothing needs no place.
    fill(good.place());
    exo_uring_traverse command = whole(good.place());
    command.program_id = UINT32_MAX;
    ring.push(rig.grant.get(), command, 1);
    ring.use_buffer(0);
    ring.submit(1);
    CHECK(ring.reap().res == -EFAULT);
    ring.push(rig.grant.get(), command, 1);
    ring.use_buffer(1);
    ring.submit(1);
    CHECK(ring.reap().res == -ENOENT);
    command = whole(good.place());
    command.result = command.blocks = 1;
    command.result_len = command.blocks_len = 0;
    command.flags = 0;
    command.hop_limit = 1;
    ring.push(rig.grant.get(), command, 1);
    ring.use_buffer(1);
    ring.submit(1);
    CHECK(ring.reap().res == EXO_END_PROGRAM);  // it has nowhere to keep what it finds
    CHECK(good.place().outcome.cause == EXO_END_PROGRAM);

    // The structure in memory holds the outcome, so it lies in the buffer as a whole.
    Pages outside;
    fill(outside.place());
    outside.place().traverse.result = address(&good.place().result);
    outside.place().traverse.blocks = address(&good.place().block);
    ring.push(rig.grant.get(), &outside.place().traverse, 1);
    ring.use_buffer(1);
    ring.submit(1);
    CHECK(ring.reap().res == -EFAULT);

    // Without the flag, no buffer is looked at.
    fill(outside.place());
    ring.push(rig.grant.get(), &outside.place().traverse, 1);
    ring.submit(1);
    CHECK(ring.reap().res == EXO_END_DONE);
    check(outside.place(), tree, false);
}

TEST_CASE(
    "a buffer that is unregistered and unmapped in flight: the pages stay, the results are right") {
    Tree tree = write_tree(device_path(), 1, 200, 4);
    Rig rig(kTreeFileBytes);
    for (bool polled : {false, true}) {
        if (polled && !polled_works(rig)) {
            continue;
        }
        for (int round = 0; round < 8; round++) {
            CAPTURE(polled);
            Ring ring(32, IORING_SETUP_SQE128 | (polled ? IORING_SETUP_IOPOLL : 0));
            constexpr size_t kCount = 8;
            Pages pages(kCount);
            iovec vector = pages.vector();
            REQUIRE(io_uring_register_buffers(ring.raw(), &vector, 1) == 0);
            for (size_t i = 0; i < kCount; i++) {
                fill(pages.place(i), 1 + round % 2 * 7);
                push(ring, rig.grant, pages.place(i), true, 0, i);
            }
            ring.submit(kCount);
            // Another mapping of the same pages shows what was written after this one went.
            void* p = mremap(pages.start, 0, pages.bytes, MREMAP_MAYMOVE);
            REQUIRE(p != MAP_FAILED);
            Place* seen = static_cast<Place*>(p);
            // Waits for what is in flight in some kernels, and does not in others.
            std::thread unregister([&] { io_uring_unregister_buffers(ring.raw()); });
            if (!polled) {
                REQUIRE(mmap(pages.start, pages.bytes, PROT_NONE,
                             MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == pages.start);
            }
            for (size_t i = 0; i < kCount; i++) {
                CHECK(ring.reap().res == EXO_END_DONE);
            }
            unregister.join();
            for (size_t i = 0; i < kCount; i++) {
                check(*reinterpret_cast<Place*>(reinterpret_cast<uint8_t*>(seen) + i * kBytes),
                      tree, true);
            }
            munmap(p, pages.bytes);
        }
    }
    expect_idle();
}

TEST_CASE("many trees at once through rings, with several reads of each in flight") {
    Tree tree = write_tree(device_path(), 1, 150, 14);
    Rig rig(kTreeFileBytes);
    bool polled = polled_works(rig);
    for (uint16_t engine :
         {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_DISPATCH, EXO_ENGINE_POLLED}) {
        if (engine == EXO_ENGINE_POLLED && !polled) {
            continue;
        }
        CAPTURE(engine);
        constexpr size_t kCount = 32;
        Ring ring(kCount, engine == EXO_ENGINE_POLLED ? unsigned{IORING_SETUP_IOPOLL} : 0);
        Pages pages(kCount);
        bool served = true;
        for (int round = 0; served && round < 3; round++) {
            for (size_t i = 0; i < kCount; i++) {
                fill(pages.place(i), static_cast<uint16_t>(i % 17));
                pages.place(i).traverse.engine = engine;
                ring.push(rig.grant.get(), &pages.place(i).traverse, i);
            }
            ring.submit(kCount);
            for (size_t i = 0; i < kCount; i++) {
                Ring::Completion c = ring.reap();
                if (c.res == -EOPNOTSUPP) {
                    served = false;
                    continue;
                }
                REQUIRE(c.res == EXO_END_DONE);
                check(pages.place(c.data), tree, false);
                CHECK(pages.place(c.data).result.most_pending ==
                      std::max<size_t>(1, c.data % 17) - 1);
            }
        }
    }
    expect_idle();
}

// Each has reads in flight and others that find no room. Whoever reaps comes by so seldom, with so many
// traversals, that he may try again at once each time; what makes room is that he polls as well.
TEST_CASE("a poll queue that has room for few of the reads") {
    Tree tree = write_tree(device_path(), 1, 17, 16);
    Rig rig(kTreeFileBytes);
    if (!polled_works(rig)) {
        CHECK(!on_nvme());
        return;
    }
    constexpr size_t kCount = 512;
    exo_grant_open terms = {};
    terms.in_flight_limit = kCount;
    Opened opened = rig.regrant(terms);
    REQUIRE(opened.error == 0);
    Ring ring(kCount, IORING_SETUP_IOPOLL);
    Pages pages(kCount);
    for (size_t i = 0; i < kCount; i++) {
        fill(pages.place(i), 16);
        ring.push(opened.fd.get(), &pages.place(i).traverse, i);
    }
    ring.submit(kCount);
    for (size_t i = 0; i < kCount; i++) {
        Ring::Completion c = ring.reap();
        REQUIRE(c.res == EXO_END_DONE);
        check(pages.place(c.data), tree, false);
    }
    expect_idle();
}

TEST_CASE("a ring that nobody reaps keeps neither the device nor the grant") {
    // Worked off slowly, so there is less of it on a slow kernel.
    write_tree(device_path(), 1, 200 / std::min(slowness(), 4u), 4);
    Rig rig(kTreeFileBytes);
    if (!polled_works(rig)) {
        CHECK(!on_nvme());
        return;
    }
    constexpr size_t kCount = 16;
    for (bool revoked : {false, true}) {
        CAPTURE(revoked);
        Ring ring(32, IORING_SETUP_IOPOLL);
        Pages pages(kCount);
        for (size_t i = 0; i < kCount; i++) {
            fill(pages.place(i), static_cast<uint16_t>(1 + i));
            ring.push(rig.grant.get(), &pages.place(i).traverse, i);
        }
        ring.submit(kCount);
        if (revoked) {
            auto begun = std::chrono::steady_clock::now();
            CHECK(unpin(rig.volume, kIno, kGeneration) == 0);
            CHECK(std::chrono::steady_clock::now() - begun < 5s);
        }
        // They end by themselves, and only the news of it waits for whoever reaps.
        CHECK(wait_for_idle(30s));
        for (size_t i = 0; i < kCount; i++) {
            Ring::Completion c = ring.reap();
            CHECK(c.res == (revoked ? EXO_END_REVOKED : EXO_END_DONE));
            CHECK(pages.place(c.data).traverse.outcome.cause == static_cast<uint32_t>(c.res));
        }
    }
}

TEST_CASE("however many nobody reaps, others have the processors") {
    constexpr uint32_t kRings = 2;
    // Each must be looked at by the watcher before the driver takes it for lost.
    const uint32_t kEach = 4096 / slowness();
    Rig rig(64 * 4096);
    if (!polled_works(rig)) {
        return;
    }
    const test_stride_args args = {.stride = 4096, .count = 0, .len = 512};
    exo_traverse entry = {};
    entry.program_id = shared_program("test_stride").id();
    entry.hop_bytes = static_cast<uint32_t>(rig.info.logical_block_bytes);
    entry.timeout_ms = 30000;
    entry.args = address(&args);
    entry.args_len = sizeof(args);
    exo_grant_open terms = {};
    terms.in_flight_limit = kEach;
    terms.hop_limit = 65536;
    std::vector<exo_traverse> entries(kRings * kEach, entry);
    std::vector<std::unique_ptr<Ring>> rings;
    std::vector<Fd> grants;
    for (uint32_t i = 0; i < kRings; i++) {
        Opened opened = rig.regrant(terms);
        REQUIRE(opened.error == 0);
        grants.push_back(std::move(opened.fd));
        rings.push_back(std::make_unique<Ring>(kEach, IORING_SETUP_IOPOLL));
        for (uint32_t j = 0; j < kEach; j++) {
            rings[i]->push(grants[i].get(), &entries[i * kEach + j], j);
        }
        rings[i]->submit(kEach);
    }
    CHECK(stats().traversals_in_flight >= kRings * kEach * 9 / 10);
    std::this_thread::sleep_for(200ms);

    // One task for each processor, which needs all of it.
    std::vector<double> shares(std::thread::hardware_concurrency());
    std::vector<std::thread> busy;
    for (double& share : shares) {
        busy.emplace_back([&share] {
            auto now = [](clockid_t clock) {
                timespec t = {};
                clock_gettime(clock, &t);
                return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
            };
            double begun = now(CLOCK_MONOTONIC), used = now(CLOCK_THREAD_CPUTIME_ID);
            while (now(CLOCK_MONOTONIC) - begun < 1.5) {
            }
            share = (now(CLOCK_THREAD_CPUTIME_ID) - used) / (now(CLOCK_MONOTONIC) - begun);
        });
    }
    for (std::thread& thread : busy) {
        thread.join();
    }
    for (double share : shares) {
        CHECK(share > 0.75);
    }

    // And each has its end when its grant has.
    for (Fd& grant : grants) {
        exo_grant_revoke request = {};
        request.flags = EXO_REVOKE_SELF;
        CHECK(call(grant, EXO_GRANT_REVOKE, &request) == 0);
    }
    CHECK(wait_for_idle(30s));
    std::map<int32_t, uint32_t> other_ends;
    for (const auto& ring : rings) {
        for (uint32_t j = 0; j < kEach; j++) {
            int32_t res = ring->reap().res;
            if (res != EXO_END_REVOKED && res != EXO_END_TIMEOUT) {
                other_ends[res]++;
            }
        }
    }
    for (auto [end, count] : other_ends) {
        FAIL_CHECK(count << " ended with " << end);
    }
}

TEST_SUITE_END();
