// SPDX-License-Identifier: MIT
// Cancelling traversals in a ring: what EXO_URING_CANCEL finds and what it leaves alone, and what
// io_uring's own ways do, which do not reach commands.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "rig.h"
#include "ring.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

// Traversals that end only when they are told to, or after their time.
struct Endless {
    explicit Endless(Rig& rig, uint32_t rate_reads = 0) {
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        request.rate_reads = rate_reads;
        Opened opened = rig.regrant(request);
        REQUIRE(opened.error == 0);
        grant = std::move(opened.fd);
    }

    void start(Ring& ring, uint64_t data, uint32_t timeout_ms = 20000) {
        exo_traverse& request = requests[count++];
        request = {};
        request.program_id = shared_program("test_stride").id();
        request.hop_bytes = 4096;
        request.args = address(&args);
        request.args_len = sizeof(args);
        request.timeout_ms = timeout_ms;
        ring.push(grant.get(), &request, data);
    }

    Fd grant;
    test_stride_args args = {.stride = 4096, .count = 0, .len = 4096};
    std::vector<exo_traverse> requests = std::vector<exo_traverse>(64);
    size_t count = 0;
};

constexpr uint64_t kCancel = 1'000'000;

void push_cancel(Ring& ring, const Fd& fd, uint64_t user_data, uint32_t flags = 0,
                 uint32_t reserved = 0) {
    exo_uring_cancel command = {.user_data = user_data, .flags = flags, .reserved = reserved};
    exo_uring_pointer same = {};
    static_assert(sizeof(same) == sizeof(command));
    memcpy(&same, &command, sizeof(same));
    ring.push(fd.get(), reinterpret_cast<exo_traverse*>(same.traverse), kCancel, EXO_URING_CANCEL,
              same.reserved);
}

// Reaps until the answer to the cancellation is there; the others are counted by how they ended.
struct Ends {
    int32_t answer = 0;
    int cancelled = 0, others = 0;
};

Ends reap(Ring& ring, int count) {
    Ends ends;
    for (int i = 0; i < count; i++) {
        Ring::Completion c = ring.reap();
        if (c.data == kCancel) {
            ends.answer = c.res;
        } else if (c.res == EXO_END_CANCELLED) {
            ends.cancelled++;
        } else {
            ends.others++;
        }
    }
    return ends;
}

bool polled_works(const Rig& rig) {
    const test_stride_args once = {.stride = 4096, .count = 1, .len = 4096};
    return run(rig.grant, shared_program("test_stride").id(), once, {.engine = EXO_ENGINE_POLLED})
               .error == 0;
}

}  // namespace

TEST_SUITE_BEGIN("uring");

TEST_CASE("traversals in a ring are cancelled, one or all of them, in every kind of ring") {
    Rig rig(64 * 4096);
    for (unsigned flags :
         {0u, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, unsigned{IORING_SETUP_IOPOLL},
          IORING_SETUP_IOPOLL | IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
          IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN}) {
        // Reading on and on, or held back by a rate: then no completion is near.
        for (uint32_t rate : {0u, 1u}) {
            if (flags & IORING_SETUP_IOPOLL && !polled_works(rig)) {
                continue;
            }
            CAPTURE(flags);
            CAPTURE(rate);
            Endless endless(rig, rate);
            Ring ring(32, flags);
            for (uint64_t i = 1; i <= 8; i++) {
                endless.start(ring, i);
            }
            ring.submit(8);
            auto begun = std::chrono::steady_clock::now();

            push_cancel(ring, endless.grant, 3);
            ring.submit(1);
            Ends ends = reap(ring, 2);
            CHECK(ends.answer == 1);
            CHECK(ends.cancelled == 1);
            CHECK(endless.requests[2].outcome.cause == EXO_END_CANCELLED);

            push_cancel(ring, endless.grant, 3);
            ring.submit(1);
            CHECK(reap(ring, 1).answer == -ENOENT);
            CHECK(stats().traversals_in_flight == 7);

            push_cancel(ring, endless.grant, 0, EXO_CANCEL_ALL);
            ring.submit(1);
            ends = reap(ring, 8);
            CHECK(ends.answer == 7);
            CHECK(ends.cancelled == 7);
            CHECK(std::chrono::steady_clock::now() - begun < 10s);
            CHECK(stats().traversals_in_flight == 0);
        }
    }
}

TEST_CASE("a cancellation finds nothing of another file, ring or number") {
    Rig rig(64 * 4096);
    Endless endless(rig, 200);
    Endless other(rig);
    Ring ring(32);
    Ring elsewhere(32);
    for (uint64_t data : {1, 2, 2, 2}) {
        endless.start(ring, data);
    }
    ring.submit(4);
    push_cancel(ring, other.grant, 1);
    push_cancel(ring, rig.grant, 0, EXO_CANCEL_ALL);
    push_cancel(ring, endless.grant, 4);
    ring.submit(3);
    for (int i = 0; i < 3; i++) {
        CHECK(reap(ring, 1).answer == -ENOENT);
    }
    push_cancel(elsewhere, endless.grant, 0, EXO_CANCEL_ALL);
    elsewhere.submit(1);
    CHECK(reap(elsewhere, 1).answer == -ENOENT);
    // What is not zero but must be, and flags that there are not.
    push_cancel(ring, endless.grant, 1, 2);
    push_cancel(ring, endless.grant, 1, EXO_CANCEL_ALL);
    push_cancel(ring, endless.grant, 1, 0, 1);
    ring.submit(3);
    for (int i = 0; i < 3; i++) {
        CHECK(reap(ring, 1).answer == -EINVAL);
    }
    CHECK(stats().traversals_in_flight == 4);

    // All of one number; also by a thread of io_uring's, which does not hold the ring's lock.
    push_cancel(ring, endless.grant, 2);
    ring.last()->flags |= IOSQE_ASYNC;
    ring.submit(1);
    Ends ends = reap(ring, 4);
    CHECK(ends.answer == 3);
    CHECK(ends.cancelled == 3);
    push_cancel(ring, endless.grant, 1);
    ring.submit(1);
    CHECK(reap(ring, 2).cancelled == 1);
    expect_idle();
}

TEST_CASE("cancellations while traversals come and go") {
    Rig rig(64 * 4096);
    for (bool polled : {false, true}) {
        if (polled && !polled_works(rig)) {
            continue;
        }
        CAPTURE(polled);
        const test_stride_args args = {.stride = 4096, .count = 5, .len = 4096};
        std::vector<exo_traverse> requests(64);
        Ring ring(128, polled ? unsigned{IORING_SETUP_IOPOLL} : 0);
        int done = 0, cancelled = 0, found = 0;
        for (int round = 0; round < 20; round++) {
            for (uint64_t i = 0; i < requests.size(); i++) {
                requests[i] = {};
                requests[i].program_id = shared_program("test_stride").id();
                requests[i].hop_bytes = 4096;
                requests[i].args = address(&args);
                requests[i].args_len = sizeof(args);
                requests[i].timeout_ms = 20000;
                ring.push(rig.grant.get(), &requests[i], i);
            }
            ring.submit(64);
            push_cancel(ring, rig.grant, 0, EXO_CANCEL_ALL);
            ring.submit(1);
            for (size_t i = 0; i < requests.size() + 1; i++) {
                Ring::Completion c = ring.reap();
                if (c.data == kCancel) {
                    found += std::max(c.res, 0);
                    continue;
                }
                REQUIRE((c.res == EXO_END_DONE || c.res == EXO_END_CANCELLED));
                (c.res == EXO_END_DONE ? done : cancelled)++;
            }
        }
        // Not all that were told had to obey.
        CHECK(cancelled <= found);
        MESSAGE(done << " ended by themselves, " << cancelled << " were cancelled");
    }
    expect_idle();
}

TEST_CASE("what io_uring has of its own does not reach a traversal, which goes on") {
    Rig rig(64 * 4096);
    Endless endless(rig, 100);
    Ring ring(32);
    endless.start(ring, 7, 2000);
    ring.submit(1);
    auto own = [&](uint32_t flags, int fd) {
        io_uring_sqe* sqe = io_uring_get_sqe(ring.raw());
        memset(sqe, 0, sizeof(*sqe));
        sqe->opcode = IORING_OP_ASYNC_CANCEL;
        sqe->fd = fd;
        sqe->addr = flags & IORING_ASYNC_CANCEL_FD ? 0 : 7;
        sqe->cancel_flags = flags;
        sqe->user_data = kCancel;
        ring.submit(1);
        return reap(ring, 1).answer;
    };
    CHECK(own(0, -1) == -ENOENT);
    CHECK(own(IORING_ASYNC_CANCEL_FD, endless.grant.get()) == -ENOENT);
    CHECK(own(IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL, endless.grant.get()) == 0);
    CHECK(stats().traversals_in_flight == 1);
    Ring::Completion c = ring.reap();
    CHECK(c.data == 7);
    CHECK(c.res == EXO_END_TIMEOUT);

    endless.start(ring, 8, 1000);
    ring.last()->flags |= IOSQE_IO_LINK;
    __kernel_timespec soon = {.tv_sec = 0, .tv_nsec = 100'000'000};
    io_uring_sqe* sqe = io_uring_get_sqe(ring.raw());
    io_uring_prep_link_timeout(sqe, &soon, 0);
    sqe->user_data = kCancel;
    ring.submit(2);
    Ends ends = reap(ring, 2);
    CHECK(ends.answer == -ENOENT);
    CHECK(ends.others == 1);
    CHECK(endless.requests[1].outcome.cause == EXO_END_TIMEOUT);
    expect_idle();
}

TEST_SUITE_END();
