// SPDX-License-Identifier: MIT
// Traversals through io_uring: both kinds of SQE, large CQEs, polled rings, every refusal, and
// rings that go away while traversals run.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "rig.h"
#include "ring.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

exo_traverse stride_request(const Program& program, const test_stride_args& args,
                            uint64_t* result) {
    exo_traverse request = {};
    request.program_id = program.id();
    request.hop_bytes = 4096;
    request.args = address(&args);
    request.args_len = sizeof(args);
    request.result = address(result);
    request.result_len = sizeof(*result);
    request.timeout_ms = 20000;
    return request;
}

exo_uring_traverse inline_request(const exo_traverse& request, exo_outcome* outcome) {
    exo_uring_traverse command = {};
    memcpy(&command, &request, offsetof(exo_traverse, outcome));
    command.outcome = address(outcome);
    return command;
}

}  // namespace

TEST_SUITE_BEGIN("uring");

TEST_CASE("traversals in flight by the hundred, in every kind of ring") {
    constexpr uint32_t kCount = 100;
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    bool polled_works =
        run(rig.grant, stride.id(), test_stride_args{4096, 1, 4096}, {.engine = EXO_ENGINE_POLLED})
            .error == 0;
    for (unsigned flags : {0u, unsigned{IORING_SETUP_SQE128}, unsigned{IORING_SETUP_CQE32},
                           IORING_SETUP_SQE128 | IORING_SETUP_CQE32, unsigned{IORING_SETUP_IOPOLL},
                           IORING_SETUP_IOPOLL | IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
                           IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN}) {
        if (flags & IORING_SETUP_IOPOLL && !polled_works) {
            continue;
        }
        CAPTURE(flags);
        Ring ring(128, flags);
        std::vector<test_stride_args> args(kCount);
        std::vector<exo_traverse> requests(kCount);
        std::vector<exo_outcome> outcomes(kCount);
        std::vector<uint64_t> results(kCount);
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < kCount; i++) {
                args[i] = {.stride = 4096, .count = 1 + i % 9, .len = 4096};
                requests[i] = stride_request(stride, args[i], &results[i]);
                outcomes[i] = {};
                if (flags & IORING_SETUP_SQE128) {
                    ring.push(rig.grant.get(), inline_request(requests[i], &outcomes[i]), i);
                } else {
                    ring.push(rig.grant.get(), &requests[i], i);
                }
            }
            ring.submit(kCount);
            std::vector<bool> seen(kCount);
            for (uint32_t n = 0; n < kCount; n++) {
                Ring::Completion c = ring.reap();
                REQUIRE(c.data < kCount);
                REQUIRE_FALSE(seen[c.data]);
                seen[c.data] = true;
                const exo_outcome& out =
                    flags & IORING_SETUP_SQE128 ? outcomes[c.data] : requests[c.data].outcome;
                REQUIRE(c.res == EXO_END_DONE);
                CHECK(out.cause == EXO_END_DONE);
                CHECK(out.hops == 1 + c.data % 9);
                CHECK(out.value == 1 + c.data % 9);
                if (flags & IORING_SETUP_CQE32) {
                    CHECK(c.value == 1 + c.data % 9);
                }
                if (flags & IORING_SETUP_IOPOLL) {
                    CHECK(out.polled == out.hops - 1);
                }
            }
        }
    }
    expect_idle();
}

TEST_CASE("what io_uring refuses, and how a traversal's end is told") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    test_stride_args args = {.stride = 4096, .count = 2, .len = 4096};
    uint64_t result = 0;
    exo_outcome outcome = {};
    const exo_traverse good = stride_request(stride, args, &result);
    Ring plain(8);
    Ring big(8, IORING_SETUP_SQE128);
    auto answer = [&](exo_traverse request, uint32_t op = EXO_GRANT_TRAVERSE,
                      uint64_t reserved = 0) {
        plain.push(rig.grant.get(), &request, 1, op, reserved);
        plain.submit(1);
        return plain.reap().res;
    };
    auto inline_answer = [&](Ring& ring, const exo_uring_traverse& command) {
        ring.push(rig.grant.get(), command, 1);
        ring.submit(1);
        return ring.reap().res;
    };
    auto resized = [](uint32_t command, size_t bytes) -> uint32_t {
        return _IOC(_IOC_DIR(command), _IOC_TYPE(command), _IOC_NR(command), bytes);
    };

    CHECK(answer(good) == EXO_END_DONE);
    CHECK(answer(good, EXO_GRANT_TRAVERSE, 1) == -EINVAL);
    CHECK(answer(good, EXO_GRANT_INFO) == -ENOTTY);
    CHECK(answer(good, 0) == -ENOTTY);
    CHECK(answer(good, resized(EXO_GRANT_TRAVERSE, sizeof(exo_traverse) - 1)) == -EINVAL);
    exo_traverse bad = good;
    bad.engine = EXO_ENGINE_POLLED;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.program_id = UINT32_MAX;
    CHECK(answer(bad) == -ENOENT);
    bad = good;
    bad.args = 8;
    CHECK(answer(bad) == -EFAULT);
    bad = good;
    bad.hop_limit = 1;
    CHECK(answer(bad) == EXO_END_HOP_LIMIT);
    bad = good;
    bad.start_offset = 64 * 4096;
    CHECK(answer(bad) == EXO_END_OUT_OF_FILE);
    plain.push(rig.grant.get(), nullptr, 1);
    plain.submit(1);
    CHECK(plain.reap().res == -EFAULT);

    CHECK(inline_answer(big, inline_request(good, &outcome)) == EXO_END_DONE);
    CHECK(outcome.hops == 2);
    CHECK(inline_answer(big, inline_request(good, nullptr)) == EXO_END_DONE);
    CHECK(inline_answer(plain, inline_request(good, nullptr)) == -EINVAL);
    exo_uring_traverse command = inline_request(good, nullptr);
    command.engine = EXO_ENGINE_POLLED;
    CHECK(inline_answer(big, command) == -EINVAL);
    command = inline_request(good, nullptr);
    command.outcome = 8;
    CHECK(inline_answer(big, command) == -EFAULT);

    // No other fd of ours takes commands.
    plain.push(rig.volume.get(), nullptr, 1);
    plain.submit(1);
    CHECK(plain.reap().res == -EOPNOTSUPP);

    exo_grant_open narrow = {};
    narrow.in_flight_limit = 1;
    narrow.hop_limit = UINT32_MAX;
    Opened grant = rig.regrant(narrow);
    test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
    exo_traverse first = stride_request(stride, for_ever, &result);
    first.timeout_ms = 300;
    exo_traverse second = first;
    plain.push(grant.fd.get(), &first, 1);
    plain.push(grant.fd.get(), &second, 2);
    plain.submit(2);
    Ring::Completion c = plain.reap();
    CHECK(c.data == 2);
    CHECK(c.res == -EBUSY);
    c = plain.reap();
    CHECK(c.data == 1);
    CHECK((c.res == EXO_END_TIMEOUT || c.res == EXO_END_HOP_LIMIT));

    REQUIRE(unpin(rig.volume, kIno, kGeneration) == 0);
    CHECK(answer(good) == -EKEYREVOKED);
    expect_idle();
}

TEST_CASE("a ring that goes away ends its traversals") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        Opened grant = rig.regrant(request);
        REQUIRE(grant.error == 0);
        test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
        std::vector<uint64_t> results(32);
        std::vector<exo_traverse> requests(32);
        for (int round = 0; round < 8; round++) {
            CAPTURE(round);
            unsigned flags = round % 4 >= 2 ? unsigned{IORING_SETUP_IOPOLL} : 0;
            auto start_all = [&](Ring& ring) {
                for (size_t i = 0; i < requests.size(); i++) {
                    requests[i] = stride_request(stride, for_ever, &results[i]);
                    ring.push(grant.fd.get(), &requests[i], i);
                }
                ring.submit(static_cast<unsigned>(requests.size()));
            };
            auto begun = std::chrono::steady_clock::now();
            if (round % 2) {
                Ring ring(64, flags);
                start_all(ring);
                std::this_thread::sleep_for(20ms);
            } else {
                pid_t child = fork();
                REQUIRE(child >= 0);
                if (child == 0) {
                    Ring ring(64, flags);
                    start_all(ring);
                    for (;;) {
                        pause();
                    }
                }
                std::this_thread::sleep_for(50ms);
                REQUIRE(kill(child, SIGKILL) == 0);
                int status = 0;
                REQUIRE(waitpid(child, &status, 0) == child);
            }
            expect_idle();
            CHECK(std::chrono::steady_clock::now() - begun < 10s);
        }
    }
    expect_idle();
    CHECK(stats().grants == 0);
}

TEST_CASE("revocation drains what rings have in flight") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_grant_open request = {};
    request.hop_limit = UINT32_MAX;
    Opened grant = rig.regrant(request);
    REQUIRE(grant.error == 0);
    test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
    std::vector<uint64_t> results(32);
    std::vector<exo_traverse> requests(32);
    Ring ring(64);
    for (size_t i = 0; i < requests.size(); i++) {
        requests[i] = stride_request(stride, for_ever, &results[i]);
        ring.push(grant.fd.get(), &requests[i], i);
    }
    ring.submit(32);
    exo_unpin ended = {};
    CHECK(unpin(rig.volume, kIno, kGeneration, 0, &ended) == 0);
    CHECK(stats().traversals_in_flight == 0);
    for (int i = 0; i < 32; i++) {
        int32_t res = ring.reap().res;
        CHECK((res == EXO_END_REVOKED || res == EXO_END_HOP_LIMIT));
    }
}

TEST_SUITE_END();
