// SPDX-License-Identifier: MIT
// What a rate lets through, of a grant and of a tenant, and when those who wait for it go on.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "rig.h"
#include "tenants.h"

using namespace exo::test;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("fairness");

// Well below what one traversal reads without it, also on a slow kernel.
const uint32_t kRate = 400 / patience();

// Reads of 4 KiB, one after the other, and how long they took.
struct Timed {
    uint32_t cause;
    uint32_t hops;
    double seconds;
};
Timed read_for(const Fd& grant, uint32_t count, uint16_t engine = EXO_ENGINE_AUTO) {
    test_stride_args args = {.stride = 4096, .count = count, .len = 4096};
    Run r = run(grant, shared_program("test_stride").id(), args,
                {.hop_limit = count, .timeout_ms = 20000, .engine = engine});
    REQUIRE(r.error == 0);
    return {r.outcome.cause, r.outcome.hops, static_cast<double>(r.outcome.elapsed_ns) / 1e9};
}

// Never faster than the rate but for what may come at once (20 ms of it and one read), and not much
// slower, unless the machine is busy with something else; hence more than one try.
void check_rate(double reads, double rate, const std::function<Timed()>& read) {
    const double due = reads / rate;
    double seconds = 0;
    for (int attempt = 0; attempt == 0 || (attempt < 4 && seconds > due * 1.3 + 0.1); attempt++) {
        const Timed t = read();
        CHECK(t.cause == EXO_END_DONE);
        CHECK(t.seconds >= due - 0.025 - 1 / rate);
        seconds = t.seconds;
    }
    CHECK(seconds <= due * 1.3 + 0.1);
}

void check_reads(const Fd& grant, uint32_t count, double rate, uint16_t engine = EXO_ENGINE_AUTO) {
    check_rate(count, rate, [&] { return read_for(grant, count, engine); });
}

TEST_CASE("a grant keeps to its rate, and so do all that were derived from it") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    exo_grant_open terms = {};
    terms.rate_reads = kRate;
    Opened limited = rig.regrant(terms);
    REQUIRE(limited.error == 0);
    check_reads(limited.fd, 240, kRate);

    terms.rate_reads = 0;
    terms.rate_bytes = kRate * 4096;
    Opened slow = rig.regrant(terms);
    REQUIRE(slow.error == 0);
    check_reads(slow.fd, 240, kRate);

    // Two children that ask for more get no more, together, than their parent.
    exo_grant_derive wish = {};
    wish.rate_reads = 100 * kRate;
    std::vector<Fd> children;
    for (int i = 0; i < 2; i++) {
        int fd = call(limited.fd, EXO_GRANT_DERIVE, &wish);
        REQUIRE(fd >= 0);
        children.emplace_back(fd);
        exo_grant_entry entry = {};
        REQUIRE(call(children.back(), EXO_GRANT_INFO, &entry) == 0);
        CHECK(entry.rate_reads == kRate);
        CHECK(entry.rate_bytes == 0);
    }
    check_rate(300, kRate, [&] {
        const auto begun = std::chrono::steady_clock::now();
        Timed second = {};
        std::thread other([&] { second = read_for(children[1], 150); });
        Timed first = read_for(children[0], 150);
        other.join();
        first.cause = std::max(first.cause, second.cause);
        first.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
        return first;
    });

    // One with less has less, and its parent the rest.
    wish.rate_reads = kRate / 4;
    Fd narrow(call(limited.fd, EXO_GRANT_DERIVE, &wish));
    REQUIRE(narrow);
    check_reads(narrow, 50, kRate / 4.);
}

TEST_CASE("rates hold for every engine, and for many reads at once") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const uint32_t stride = shared_program("test_stride").id();
    const test_stride_args once = {.stride = 4096, .count = 1, .len = 4096};
    for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
        CAPTURE(engine);
        if (run(rig.grant, stride, once, {.engine = engine}).error) {
            continue;  // the device has no such engine
        }
        exo_grant_open terms = {};
        terms.rate_reads = kRate;
        Opened reads = rig.regrant(terms);
        terms.rate_reads = 0;
        terms.rate_bytes = kRate * 4096;
        Opened bytes = rig.regrant(terms);
        REQUIRE(reads.error == 0);
        REQUIRE(bytes.error == 0);
        check_reads(reads.fd, 120, kRate, engine);
        check_reads(bytes.fd, 120, kRate, engine);

        // Those still in line when the limit ends it have not gone.
        Run r = run(reads.fd, shared_program("test_explode").id(), once,
                    {.hop_limit = 160, .timeout_ms = 20000, .engine = engine, .fan_out = 16});
        REQUIRE(r.error == 0);
        CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
        double seconds = static_cast<double>(r.outcome.elapsed_ns) / 1e9;
        CHECK(seconds >= (r.outcome.hops - 1.) / kRate - 0.025);
        CHECK(seconds <= 160. / kRate * 1.3 + 0.1);
    }
}

TEST_CASE("a tenant keeps to its rate, whatever its grants allow, until it is lifted") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    REQUIRE(set_tenant(rig, 0, 0, kRate) == 0);
    CHECK(tenant(0).rate_reads == kRate);
    CHECK(tenant(0).flags == (EXO_TENANT_KEPT | (tenant(0).flags & EXO_TENANT_ACTIVE)));
    check_reads(rig.grant, 200, kRate);
    CHECK(tenant(0).waited > 100);
    REQUIRE(set_tenant(rig, 0, 0, 0, kRate * 4096) == 0);
    check_reads(rig.grant, 200, kRate);

    // Those who wait go on at once.
    REQUIRE(set_tenant(rig, 0, 0, 1) == 0);
    Timed t = {};
    std::thread reader([&] { t = read_for(rig.grant, 50); });
    for (int i = 0; i < 5000 && !tenant(0).waiting; i++) {
        std::this_thread::sleep_for(2ms);
    }
    CHECK(tenant(0).waiting == 1);
    CHECK(tenant(0).in_flight == 1);
    REQUIRE(set_tenant(rig, 0, 0) == 0);
    reader.join();
    CHECK(t.cause == EXO_END_DONE);
    CHECK(t.seconds < 25);
    CHECK(tenant(0).waiting == 0);
    CHECK(tenant(0).reads >= 450);
    CHECK(tenant(0).bytes == tenant(0).reads * 4096);
}

TEST_CASE("waiting for a rate ends when it must") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_grant_open terms = {};
    terms.rate_reads = 1;
    const test_stride_args args = {.stride = 4096, .count = 0, .len = 4096};
    bool polled_works =
        run(rig.grant, stride.id(), test_stride_args{4096, 1, 4096}, {.engine = EXO_ENGINE_POLLED})
            .error == 0;
    for (uint16_t engine : {uint16_t{EXO_ENGINE_AUTO}, uint16_t{EXO_ENGINE_POLLED}}) {
        if (engine && !polled_works) {
            continue;
        }
        CAPTURE(engine);
        Opened grant = rig.regrant(terms);
        REQUIRE(grant.error == 0);
        Run r = run(grant.fd, stride.id(), args, {.timeout_ms = 200, .engine = engine});
        CHECK(r.outcome.cause == EXO_END_TIMEOUT);
        CHECK(r.outcome.hops <= 2);

        // Revoked while it waits.
        Run revoked;
        std::thread reader([&] {
            revoked = run(grant.fd, stride.id(), args, {.timeout_ms = 20000, .engine = engine});
        });
        for (int i = 0; i < 5000 && !tenant(0).waiting; i++) {
            std::this_thread::sleep_for(2ms);
        }
        exo_grant_revoke request = {};
        request.flags = EXO_REVOKE_SELF;
        CHECK(call(grant.fd, EXO_GRANT_REVOKE, &request) == 0);
        CHECK(request.drained_traversals == 1);
        CHECK(request.drain_ns < 2'000'000'000);
        reader.join();
        CHECK(revoked.outcome.cause == EXO_END_REVOKED);
    }

    // Killed while it waits.
    Opened grant = rig.regrant(terms);
    REQUIRE(grant.error == 0);
    pid_t child = fork();
    if (child == 0) {
        run(grant.fd, stride.id(), args, {.timeout_ms = 20000});
        _exit(0);
    }
    for (int i = 0; i < 5000 && !tenant(0).waiting; i++) {
        std::this_thread::sleep_for(2ms);
    }
    CHECK(tenant(0).waiting == 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (int i = 0; i < 5000 && stats().traversals_in_flight; i++) {
        std::this_thread::sleep_for(2ms);
    }
    CHECK(stats().traversals_in_flight == 0);
    CHECK(tenant(0).waiting == 0);
}

TEST_SUITE_END();
