// SPDX-License-Identifier: MIT
// Batches: every entry's own outcome, limits on what is in flight, bad arguments, killed callers.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "rig.h"

using namespace exo::test;

namespace {

uint64_t address(const void* p) {
    return reinterpret_cast<uint64_t>(p);
}

struct Batch {
    explicit Batch(uint32_t program, uint32_t count) : entries(count), args(count), results(count) {
        for (uint32_t i = 0; i < count; i++) {
            args[i] = {.stride = 4096, .count = 1 + i % 7, .len = 4096};
            entries[i].program_id = program;
            entries[i].hop_bytes = 4096;
            entries[i].args = address(&args[i]);
            entries[i].args_len = sizeof(args[i]);
            entries[i].result = address(&results[i]);
            entries[i].result_len = sizeof(results[i]);
            entries[i].timeout_ms = 20000;
        }
    }

    int run(const Fd& grant, uint32_t entry_bytes = sizeof(exo_traverse)) {
        exo_batch batch = {.traversals = address(entries.data()),
                           .count = static_cast<uint32_t>(entries.size()),
                           .entry_bytes = entry_bytes,
                           .flags = 0,
                           .reserved = 0};
        return call(grant, EXO_GRANT_BATCH, &batch);
    }

    std::vector<exo_traverse> entries;
    std::vector<test_stride_args> args;
    std::vector<uint64_t> results;
};

}  // namespace

TEST_SUITE_BEGIN("batch");

TEST_CASE("every entry of a batch has its own outcome") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    for (uint32_t count : {0u, 1u, 2u, 100u, 1000u}) {
        for (uint16_t engine : {uint16_t{EXO_ENGINE_AUTO}, uint16_t{EXO_ENGINE_POLLED},
                                uint16_t{EXO_ENGINE_DISPATCH}}) {
            CAPTURE(count);
            CAPTURE(engine);
            Batch batch(stride.id(), count);
            for (exo_traverse& entry : batch.entries) {
                entry.engine = engine;
            }
            int ret = batch.run(rig.grant);
            REQUIRE(ret == 0);
            for (uint32_t i = 0; i < count; i++) {
                const exo_outcome& out = batch.entries[i].outcome;
                if (engine == EXO_ENGINE_POLLED && out.cause == EXO_END_NOT_STARTED) {
                    CHECK(out.error == -EOPNOTSUPP);  // a device without poll queues
                    continue;
                }
                REQUIRE(out.cause == EXO_END_DONE);
                CHECK(out.hops == 1 + i % 7);
                CHECK(out.value == 1 + i % 7);
            }
        }
    }
    expect_idle();
}

TEST_CASE("a batch of good and bad entries") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    Batch batch(stride.id(), 6);
    batch.entries[1].program_id = UINT32_MAX;
    batch.entries[2].hop_bytes = 1;
    batch.entries[3].args_len = 1 << 20;
    batch.entries[4].args = 8;
    batch.entries[5].hop_limit = 1;
    batch.args[5].count = 2;
    REQUIRE(batch.run(rig.grant) == 0);
    CHECK(batch.entries[0].outcome.cause == EXO_END_DONE);
    const int errors[] = {-ENOENT, -EINVAL, -E2BIG, -EFAULT};
    for (int i = 1; i <= 4; i++) {
        CHECK(batch.entries[i].outcome.cause == EXO_END_NOT_STARTED);
        CHECK(batch.entries[i].outcome.error == errors[i - 1]);
        CHECK(batch.entries[i].outcome.hops == 0);
    }
    CHECK(batch.entries[5].outcome.cause == EXO_END_HOP_LIMIT);
    expect_idle();
}

TEST_CASE("a batch keeps to the grant's limit of what is in flight") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_grant_open request = {};
    request.in_flight_limit = 3;
    Opened narrow = rig.regrant(request);
    REQUIRE(narrow.error == 0);
    Batch batch(stride.id(), 200);
    REQUIRE(batch.run(narrow.fd) == 0);
    for (const exo_traverse& entry : batch.entries) {
        REQUIRE(entry.outcome.cause == EXO_END_DONE);
    }
    expect_idle();
}

TEST_CASE("a batch on a grant that is cut") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    Batch batch(stride.id(), 3);
    REQUIRE(unpin(rig.volume, kIno, kGeneration) == 0);
    REQUIRE(batch.run(rig.grant) == 0);
    for (const exo_traverse& entry : batch.entries) {
        CHECK(entry.outcome.cause == EXO_END_NOT_STARTED);
        CHECK(entry.outcome.error == -EKEYREVOKED);
    }
}

TEST_CASE("bad batches") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    Batch batch(stride.id(), 2);
    const exo_batch good = {.traversals = address(batch.entries.data()),
                            .count = 2,
                            .entry_bytes = sizeof(exo_traverse),
                            .flags = 0,
                            .reserved = 0};
    auto answer = [&](exo_batch request) { return call(rig.grant, EXO_GRANT_BATCH, &request); };
    CHECK(answer(good) == 0);
    exo_batch bad = good;
    bad.flags = 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.reserved = 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.entry_bytes = sizeof(exo_traverse) - 1;
    bad.count = info.max_batch + 1;
    CHECK(answer(bad) == -EINVAL);
    bad.entry_bytes = sizeof(exo_traverse);
    CHECK(answer(bad) == -E2BIG);
    bad = good;
    bad.entry_bytes = UINT32_MAX;
    CHECK(answer(bad) == -E2BIG);
    bad = good;
    bad.traversals = 8;
    CHECK(answer(bad) == -EFAULT);
    bad.count = 0;
    CHECK(answer(bad) == 0);

    // Entries from the future: fine while the unknown part is zero.
    struct Bigger {
        exo_traverse known;
        uint64_t unknown;
    };
    std::vector<Bigger> bigger(2);
    bigger[0].known = bigger[1].known = batch.entries[0];
    bigger[1].unknown = 1;
    bad = good;
    bad.traversals = address(bigger.data());
    bad.entry_bytes = sizeof(Bigger);
    CHECK(answer(bad) == 0);
    CHECK(bigger[0].known.outcome.cause == EXO_END_DONE);
    CHECK(bigger[1].known.outcome.cause == EXO_END_NOT_STARTED);
    CHECK(bigger[1].known.outcome.error == -E2BIG);

    // The second entry lies on a page that is not there, or that cannot be written.
    auto* pages = static_cast<uint8_t*>(
        mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(pages != MAP_FAILED);
    auto* last = reinterpret_cast<exo_traverse*>(pages + 4096 - sizeof(exo_traverse));
    *last = batch.entries[0];
    last[1] = batch.entries[1];
    bad = good;
    bad.traversals = address(last);
    REQUIRE(mprotect(pages + 4096, 4096, PROT_READ) == 0);
    CHECK(answer(bad) == -EFAULT);
    REQUIRE(mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    CHECK(answer(bad) == -EFAULT);
    munmap(pages, 8192);
    expect_idle();
}

TEST_CASE("a killed batch leaves nothing behind") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        Opened grant = rig.regrant(request);
        REQUIRE(grant.error == 0);
        for (int i = 0; i < 6; i++) {
            pid_t child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                for (;;) {
                    Batch batch(stride.id(), 50);
                    for (size_t k = 0; k < batch.entries.size(); k++) {
                        batch.args[k].count = 0;  // for ever
                        batch.entries[k].engine = i % 4;
                    }
                    batch.run(grant.fd);
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20 + 10 * i));
            REQUIRE(kill(child, SIGKILL) == 0);
            int status = 0;
            REQUIRE(waitpid(child, &status, 0) == child);
            CHECK(WIFSIGNALED(status));
        }
    }
    expect_idle();
}

TEST_SUITE_END();
