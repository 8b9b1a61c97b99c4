// SPDX-License-Identifier: MIT
// The bound of a revocation's drain, on a device that stops answering: the one of device mapper
// that EXO_TEST_SUSPEND names, which is then EXO_TEST_DEVICE, too.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "parameter.h"
#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("drain");

TEST_CASE("a device that answers no more: revocation fails in time, and succeeds when it is back" *
          doctest::skip(!std::getenv("EXO_TEST_SUSPEND"))) {
    const std::string name = std::getenv("EXO_TEST_SUSPEND");
    {
        Rig rig(64 * 4096);
        exo_grant_open terms = {};
        terms.hop_limit = UINT32_MAX;
        terms.file_fd = rig.file.get();
        Fd grant(call(open_exo(), EXO_IOC_GRANT_OPEN, &terms));
        REQUIRE(grant);
        exo_grant_derive derive = {};
        Fd derived(call(grant, EXO_GRANT_DERIVE, &derive));
        REQUIRE(derived);

        constexpr uint32_t kAtOnce = 8;
        test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
        exo_traverse request = {};
        request.program_id = shared_program("test_stride").id();
        request.hop_bytes = 4096;
        request.timeout_ms = 30000;
        request.args = address(&for_ever);
        request.args_len = sizeof(for_ever);
        std::vector<exo_traverse> requests(kAtOnce, request);
        Ring ring(kAtOnce);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            ring.push((i % 2 ? grant : derived).get(), &requests[i], i);
        }
        ring.submit(kAtOnce);
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            call(grant, EXO_GRANT_TRAVERSE, &request);
            _exit(0);
        }
        for (int i = 0; i < 5000 && stats().traversals_in_flight <= kAtOnce; i++) {
            std::this_thread::sleep_for(1ms);
        }
        REQUIRE(stats().traversals_in_flight == kAtOnce + 1);
        REQUIRE(system(("dmsetup suspend --noudevsync --noflush --nolockfs " + name).c_str()) == 0);
        std::this_thread::sleep_for(100ms);
        uint64_t hops = stats().hops;

        // Who waits for it can be killed, which ends nothing that the device has.
        REQUIRE(kill(child, SIGKILL) == 0);
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status));

        Parameter bound("drain_timeout_ms", 200);
        auto fails_in_time = [&](auto&& revocation) {
            auto begun = std::chrono::steady_clock::now();
            CHECK(revocation() == -ETIMEDOUT);
            auto took = std::chrono::steady_clock::now() - begun;
            CHECK(took >= 195ms);
            CHECK(took < 200ms + 1s * slowness());
        };
        exo_grant_revoke revoke = {};
        exo_revoke_id by_number = {};
        by_number.grant_id = terms.grant_id;
        exo_detach detach = {};
        auto revoke_derived = [&] { return call(grant, EXO_GRANT_REVOKE, &revoke); };
        auto revoke_all = [&] { return call(open_exo(), EXO_IOC_REVOKE_ID, &by_number); };
        auto unpin_it = [&] { return unpin(rig.volume, kIno, kGeneration); };
        fails_in_time(revoke_derived);
        fails_in_time(revoke_all);
        fails_in_time(unpin_it);
        fails_in_time([&] { return call(rig.volume, EXO_VOLUME_DETACH, &detach); });
        // It is not over: the blocks are not free, and nobody begins anew.
        CHECK(pin(rig.volume, kIno, kGeneration, 4096, {}) == -EEXIST);
        CHECK(rig.regrant().error == -EKEYREVOKED);
        CHECK(call(rig.grant, EXO_GRANT_TRAVERSE, &request) == -EKEYREVOKED);
        CHECK(stats().traversals_in_flight == kAtOnce + 1);
        CHECK(stats().hops == hops);

        REQUIRE(system(("dmsetup resume --noudevsync " + name).c_str()) == 0);
        REQUIRE(bound.set("60000") == 0);
        CHECK(revoke_derived() == 0);
        CHECK(revoke_all() == 0);
        CHECK(unpin_it() == 0);
        CHECK(stats().traversals_in_flight == 0);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            CHECK(ring.reap().res == EXO_END_REVOKED);
        }
        CHECK(pin(rig.volume, kIno, kGeneration, 4096, {}) == 0);
    }
    expect_idle();
    CHECK(stats().grants == 0);
    CHECK(stats().volumes == 0);
}

TEST_SUITE_END();
