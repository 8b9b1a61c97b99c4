// SPDX-License-Identifier: MIT
// Revocation with exactly so many traversals in flight, again and again: all of them are drained,
// the device is asked for nothing any more, and none has seen what the blocks were used for next.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "rig.h"
#include "ring.h"

using namespace exo::test;

namespace {

constexpr uint32_t kAtOnce = 64;
constexpr size_t kFileBytes = 4 * 4096;

int rounds() {
    const char* text = std::getenv("EXO_TEST_ROUNDS");
    return text ? std::atoi(text) : 100;
}

// Reads that the block layer has given to the device and not got back; none without such a file.
uint64_t reads_in_flight() {
    uint64_t reads = 0, writes = 0;
    std::ifstream("/sys/class/block/" + std::filesystem::path(device_path()).filename().string() +
                  "/inflight") >>
        reads >> writes;
    return reads;
}

// The file's blocks, each full of one number.
struct Blocks {
    Blocks() : device(open_path(device_path(), O_RDWR | O_DIRECT)) {
        REQUIRE(device);
        void* p = nullptr;
        REQUIRE(posix_memalign(&p, 4096, kFileBytes) == 0);
        memory.reset(static_cast<uint64_t*>(p));
    }
    void fill(uint64_t number) {
        std::fill_n(memory.get(), kFileBytes / sizeof(number), number);
        REQUIRE(pwrite(device.get(), memory.get(), kFileBytes, 0) == kFileBytes);
    }
    Fd device;
    struct Free {
        void operator()(uint64_t* p) const { free(p); }
    };
    std::unique_ptr<uint64_t, Free> memory;
};

}  // namespace

TEST_SUITE_BEGIN("races");

TEST_CASE("revocation under load of exactly 64 in flight: nothing is read after it has returned") {
    Rig rig(kFileBytes);
    REQUIRE(unpin(rig.volume, kIno, kGeneration) == 0);
    rig.grant.reset();
    uint32_t program = shared_program("test_guard").id();
    Blocks blocks;
    Ring ring(kAtOnce);
    std::vector<exo_traverse> requests(kAtOnce);
    std::vector<uint64_t> drains;
    uint64_t hops = 0, drained = 0, late = 0, poisoned = 0, revoked = 0;
    for (int round = 1; round <= rounds(); round++) {
        test_guard_args args = {.expected = static_cast<uint64_t>(round)};
        blocks.fill(args.expected);
        REQUIRE(pin(rig.volume, kIno, kGeneration, kFileBytes, {{0, 0, kFileBytes}}) == 0);
        exo_grant_open limits = {};
        limits.hop_limit = UINT32_MAX;
        limits.in_flight_limit = kAtOnce;
        Opened grant = rig.regrant(limits);
        REQUIRE(grant.error == 0);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            requests[i] = {};
            requests[i].program_id = program;
            requests[i].start_offset = i * 4096 % kFileBytes;
            requests[i].hop_bytes = 4096;
            requests[i].timeout_ms = 30000;
            requests[i].engine = round % 8 ? EXO_ENGINE_AUTO : EXO_ENGINE_DISPATCH;
            requests[i].args = address(&args);
            requests[i].args_len = sizeof(args);
            ring.push(grant.fd.get(), &requests[i], i);
        }
        ring.submit(kAtOnce);
        exo_grant_entry entry = {};
        REQUIRE(call(grant.fd, EXO_GRANT_INFO, &entry) == 0);
        if (entry.in_flight != kAtOnce) {
            Ring::Completion c = ring.reap();
            const exo_outcome& out = requests[c.data].outcome;
            FAIL("round " << round << ": only " << entry.in_flight << " go on; one ended with "
                          << c.res << ", error " << out.error << ", after " << out.hops << " hops");
        }
        exo_unpin result = {};
        REQUIRE(unpin(rig.volume, kIno, kGeneration, 0, &result) == 0);
        late += reads_in_flight();
        // Reused at once.
        blocks.fill(~args.expected);
        // Some may have ended between the cut and the count.
        drained += result.drained_traversals;
        drains.push_back(result.drain_ns);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            Ring::Completion c = ring.reap();
            const exo_outcome& out = requests[c.data].outcome;
            hops += out.hops;
            poisoned += c.res == EXO_END_PROGRAM;
            revoked += c.res == EXO_END_REVOKED;
        }
    }
    // All were in flight at the cut: none ended otherwise.
    CHECK(revoked == uint64_t{kAtOnce} * drains.size());
    CHECK(late == 0);
    CHECK(poisoned == 0);
    CHECK(hops > 0);
    std::sort(drains.begin(), drains.end());
    MESSAGE(drains.size() << " revocations of " << kAtOnce << " in flight each, " << hops
                          << " blocks read, " << drained
                          << " still on their way after the cut, poison seen " << poisoned
                          << " times; drain median " << drains[drains.size() / 2] / 1000
                          << " us, worst " << drains.back() / 1000 << " us");
}

TEST_SUITE_END();
