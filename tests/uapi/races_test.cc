// SPDX-License-Identifier: MIT
// Everything at once: revocation, closing, killing and detaching under load. What counts is that
// each traversal ends as something that is allowed, and that nothing is left over.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "rig.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

int rounds(int usual) {
    const char* text = std::getenv("EXO_TEST_ROUNDS");
    return text ? std::atoi(text) : usual;
}

constexpr test_stride_args kForEver = {.stride = 4096, .count = 0, .len = 4096};

// How the kernel preempts while this lives, if it can be told to.
class Preemption {
  public:
    explicit Preemption(const std::string& model) {
        mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
        std::string words;
        std::getline(std::ifstream(kPath), words);
        if (size_t at = words.find('('); at != std::string::npos) {
            before_ = words.substr(at + 1, words.find(')') - at - 1);
        }
        std::ofstream(kPath) << model;
    }
    ~Preemption() { std::ofstream(kPath) << before_; }
    Preemption(const Preemption&) = delete;
    Preemption& operator=(const Preemption&) = delete;

  private:
    static constexpr const char* kPath = "/sys/kernel/debug/sched/preempt";
    std::string before_;
};

void expect_nothing_left() {
    expect_idle();
    CHECK(stats().grants == 0);
    CHECK(stats().pins == 0);
    CHECK(stats().volumes == 0);
}

}  // namespace

TEST_SUITE_BEGIN("races");

TEST_CASE("revocation under load: nothing is read after it has returned") {
    Rig rig(64 * 4096);
    REQUIRE(unpin(rig.volume, kIno, kGeneration) == 0);
    rig.grant.reset();
    const Program& copy = shared_program("test_copy");
    constexpr int kReaders = 4;
    std::vector<uint64_t> drains;
    // Blocks carry the round they were written in. A block of another round was read too late.
    std::vector<uint8_t> image(4096);
    Fd device = open_path(device_path(), O_RDWR | O_DIRECT);
    REQUIRE(device);
    void* aligned = nullptr;
    REQUIRE(posix_memalign(&aligned, 4096, 4096) == 0);

    uint64_t bad = 0, served = 0, drained = 0;
    for (int round = 1; round <= rounds(200); round++) {
        memset(aligned, round & 0xff, 4096);
        REQUIRE(pwrite(device.get(), aligned, 4096, 0) == 4096);
        REQUIRE(pin(rig.volume, kIno, kGeneration, 4096, {{0, 0, 4096}}) == 0);
        std::atomic<uint64_t> wrong = 0, right = 0;
        std::vector<std::thread> readers;
        std::atomic<int> ready = 0;
        for (int i = 0; i < kReaders; i++) {
            readers.emplace_back([&] {
                Opened grant = open_grant(rig.file.get());
                ready++;
                while (grant.error == 0) {
                    Run r = run(grant.fd, copy.id(), test_copy_args{});
                    if (r.error == -EKEYREVOKED || r.outcome.cause == EXO_END_REVOKED) {
                        break;
                    }
                    if (r.error || r.outcome.cause != EXO_END_DONE ||
                        r.result[0] != (round & 0xff)) {
                        wrong++;
                        break;
                    }
                    right++;
                }
            });
        }
        while (ready < kReaders || right < 4) {
            if (wrong) {
                break;
            }
            std::this_thread::sleep_for(100us);
        }
        exo_unpin result = {};
        REQUIRE(unpin(rig.volume, kIno, kGeneration, 0, &result) == 0);
        drains.push_back(result.drain_ns);
        drained += result.drained_traversals;
        // Reused at once: whoever still read would see the poison.
        memset(aligned, 0xff - (round & 0xff), 4096);
        REQUIRE(pwrite(device.get(), aligned, 4096, 0) == 4096);
        for (std::thread& t : readers) {
            t.join();
        }
        bad += wrong;
        served += right;
    }
    free(aligned);
    CHECK(bad == 0);
    std::sort(drains.begin(), drains.end());
    MESSAGE(drains.size() << " revocations, " << served << " lookups served, " << drained
                          << " drained in flight; drain median " << drains[drains.size() / 2] / 1000
                          << " us, worst " << drains.back() / 1000 << " us");
}

TEST_CASE("opening, closing, using and revoking grants all at once") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> wrong = 0, ends = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] {
            while (!stop) {
                Opened grant = open_grant(rig.file.get());
                if (grant.error) {
                    wrong += grant.error != -EKEYREVOKED && grant.error != -ENODATA;
                    continue;
                }
                Run r = run(grant.fd, stride.id(), kForEver, {.hop_limit = 20});
                ends++;
                wrong += r.error ? r.error != -EKEYREVOKED
                                 : r.outcome.cause != EXO_END_HOP_LIMIT &&
                                       r.outcome.cause != EXO_END_REVOKED;
            }
        });
    }
    for (int i = 0; i < rounds(200) || (ends < 20 && i < 10000); i++) {
        int ret = unpin(rig.volume, kIno, kGeneration, i % 3);
        wrong += ret != 0;
        wrong += pin(rig.volume, kIno, kGeneration, 64 * 4096, {{0, 0, 64 * 4096}}) != 0;
    }
    stop = true;
    for (std::thread& t : threads) {
        t.join();
    }
    CHECK(wrong == 0);
    CHECK(ends > 0);
}

TEST_CASE("two revokers of one pin both return after the drain") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_grant_open request = {};
    request.hop_limit = UINT32_MAX;
    for (int i = 0; i < rounds(20); i++) {
        Opened grant = rig.regrant(request);
        REQUIRE(grant.error == 0);
        std::thread busy([&] { run(grant.fd, stride.id(), kForEver, {.timeout_ms = 20000}); });
        int first = -1, second = -1;
        std::thread other([&] { second = unpin(rig.volume, kIno, kGeneration, 5); });
        first = unpin(rig.volume, kIno, kGeneration, 0);
        other.join();
        busy.join();
        CHECK((first == 0 || first == -ENOENT));
        CHECK((second == 0 || second == -ENOENT));
        CHECK((first == 0 || second == 0));
        REQUIRE(pin(rig.volume, kIno, kGeneration, 64 * 4096, {{0, 0, 64 * 4096}}) == 0);
    }
}

TEST_CASE("whoever hammers on a grant that was cut does not put off the end of the pin") {
    constexpr int kThreads = 200;
    // Threads are stopped between any two instructions, as those of many CPUs go past each other.
    Preemption full("full");
    Rig rig(64 * 4096);
    const uint32_t program = shared_program("test_stride").id();
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), -20);
    std::chrono::milliseconds worst = 0ms;
    for (int i = 0; i < rounds(5); i++) {
        exo_grant_open request = {};
        request.in_flight_limit = UINT32_MAX;
        Opened grant = rig.regrant(request);
        REQUIRE(grant.error == 0);
        std::atomic<bool> stop = false;
        std::vector<std::thread> threads;
        for (int n = 0; n < kThreads; n++) {
            threads.emplace_back([&] {
                setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 0);
                test_stride_args args = {.stride = 0, .count = 1, .len = 4096};
                while (!stop) {
                    run(grant.fd, program, args);
                }
            });
        }
        auto begin = std::chrono::steady_clock::now();
        CHECK(unpin(rig.volume, kIno, kGeneration) == 0);
        worst = std::max(worst, std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now() - begin));
        stop = true;
        for (std::thread& t : threads) {
            t.join();
        }
        REQUIRE(pin(rig.volume, kIno, kGeneration, 64 * 4096, {{0, 0, 64 * 4096}}) == 0);
    }
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 0);
    // Those that had begun by then need the processors once more, each for a slice of their time.
    CHECK(worst < 20s * slowness());
    MESSAGE("beside " << kThreads << " threads the longest end took " << worst.count() << " ms");
}

TEST_CASE("detached by several at once while files are pinned: no pin outlives the volume") {
    for (int i = 0; i < rounds(40); i++) {
        {
            Opened volume = attach(device_path());
            REQUIRE(volume.error == 0);
            std::atomic<bool> go = false;
            std::atomic<int> detached = 0, wrong = 0, pinned = 0;
            std::vector<std::thread> threads;
            for (int n = 0; n < 3; n++) {
                threads.emplace_back([&] {
                    while (!go) {
                    }
                    exo_detach detach = {};
                    int ret = call(volume.fd, EXO_VOLUME_DETACH, &detach);
                    detached += ret == 0;
                    wrong += ret != 0 && ret != -ENODEV;
                });
            }
            threads.emplace_back([&] {
                go = true;
                for (uint64_t ino = 1; !detached && ino < 20000; ino++) {
                    int ret = pin(volume.fd, ino, kGeneration, 4096, {{0, 0, 4096}});
                    pinned += ret == 0;
                    wrong += ret != 0 && ret != -ENODEV;
                }
            });
            for (std::thread& t : threads) {
                t.join();
            }
            CHECK(wrong == 0);
            CHECK(detached == 1);
            CHECK(pin(volume.fd, 1, kGeneration, 4096, {{0, 0, 4096}}) == -ENODEV);
        }
        REQUIRE(stats().volumes == 0);
        REQUIRE(stats().pins == 0);
    }
}

TEST_CASE("many more callers than the queue has requests all come to their end") {
    constexpr int kCallers = 80;
    // A queue of two requests on a slow kernel would take longer than a traversal may.
    const uint32_t hops = 20 / std::min(slowness(), 4u);
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        std::atomic<int> finished = 0, failed = 0;
        std::atomic<int> error = 0;
        std::atomic<uint32_t> cause = 0;  // of the last one that failed
        std::vector<std::thread> callers;
        for (int i = 0; i < kCallers; i++) {
            callers.emplace_back([&] {
                for (int round = 0; round < 3; round++) {
                    Run r = run(rig.grant, stride.id(), kForEver,
                                {.hop_limit = hops, .timeout_ms = 30000});
                    bool good = r.error == 0 && r.outcome.cause == EXO_END_HOP_LIMIT &&
                                r.outcome.hops == hops;
                    (good ? finished : failed)++;
                    if (!good) {
                        error = r.error;
                        cause = r.outcome.cause;
                    }
                }
            });
        }
        for (std::thread& t : callers) {
            t.join();
        }
        CAPTURE(error.load());
        CAPTURE(cause.load());
        CHECK(finished.load() == kCallers * 3);
        CHECK(failed.load() == 0);
    }
    expect_nothing_left();
}

TEST_CASE("endless traversals do not keep others from the queue") {
    constexpr uint64_t kHoles = 32 * 4096;
    const struct {
        const char* what;
        const char* program;
        uint64_t start_offset;
        test_spin_args args;
        uint16_t fan_out;
    } adversaries[] = {
        {"all over the file", "test_stride", 0, {{4096, 0, 4096}, 0, 0}, 1},
        {"the same block for ever", "test_stride", 0, {{0, 0, 4096}, 0, 0}, 1},
        {"holes, which need no device", "test_stride", kHoles, {{0, 0, 4096}, 0, 0}, 1},
        {"sixteen reads at once", "test_explode", 0, {}, 16},
        {"sixteen reads and long computation", "test_explode", 0, {{}, 10000, 0}, 16},
        {"long computation", "test_spin", 0, {{4096, 0, 4096}, 10000, 0}, 1},
    };
    {
        Rig rig(64 * 4096, {{.file_offset = 0, .disk_offset = 0, .length = kHoles}});
        const Program& stride = shared_program("test_stride");
        Fd device = open_path(device_path(), O_RDONLY | O_DIRECT);
        REQUIRE(device);
        void* block = nullptr;
        REQUIRE(posix_memalign(&block, 4096, 4096) == 0);
        for (const auto& adversary : adversaries) {
            CAPTURE(adversary.what);
            uint32_t program = shared_program(adversary.program).id();
            pid_t child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                exo_grant_open request = {};
                request.hop_limit = UINT32_MAX;
                if (setresuid(1001, 1001, 1001)) {
                    _exit(1);
                }
                Opened grant = rig.regrant(request);
                auto endless = [&] {
                    for (;;) {
                        run(grant.fd, program, adversary.args,
                            {.start_offset = adversary.start_offset,
                             .timeout_ms = 8000,
                             .fan_out = adversary.fan_out});
                    }
                };
                for (int i = 0; i < 3; i++) {
                    std::thread(endless).detach();
                }
                endless();
            }
            for (int i = 0; i < 1000 && stats().traversals_in_flight < 4; i++) {
                std::this_thread::sleep_for(1ms);
            }
            CHECK(stats().traversals_in_flight >= 4);
            std::vector<std::chrono::milliseconds> waits;
            for (int i = 0; i < 21; i++) {
                auto begin = std::chrono::steady_clock::now();
                Run r =
                    run(rig.grant, stride.id(), kForEver, {.hop_limit = 5, .timeout_ms = 20000});
                CHECK(r.error == 0);
                CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
                CHECK(pread(device.get(), block, 4096, 0) == 4096);
                waits.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::steady_clock::now() - begin));
            }
            std::sort(waits.begin(), waits.end());
            MESSAGE("beside " << std::string(adversary.what) << " it took " << waits[10].count()
                              << " ms, at most " << waits.back().count());
            CHECK(waits[10] < 100ms * slowness());
            CHECK(waits.back() < 500ms * slowness());
            kill(child, SIGKILL);
            REQUIRE(waitpid(child, nullptr, 0) == child);
            expect_idle();
        }
        free(block);
    }
    expect_nothing_left();
}

TEST_CASE("two volumes of one disk share its requests") {
    const char* other = std::getenv("EXO_TEST_OTHER_PARTITION");
    const char* requests = std::getenv("EXO_TEST_REQUESTS");
    if (!other || !requests) {
        return;
    }
    {
        const std::string own = device_path();
        Rig rig(64 * 4096);
        setenv("EXO_TEST_DEVICE", other, 1);
        Rig neighbour(64 * 4096);
        setenv("EXO_TEST_DEVICE", own.c_str(), 1);
        const Program& stride = shared_program("test_stride");
        exo_grant_open most = {};
        most.hop_limit = UINT32_MAX;
        Opened grant = neighbour.regrant(most);
        REQUIRE(grant.error == 0);
        std::atomic<bool> stop = false;
        std::vector<std::thread> endless;
        for (int i = 0; i < std::atoi(requests); i++) {
            endless.emplace_back([&] {
                while (!stop) {
                    run(grant.fd, stride.id(), kForEver, {.timeout_ms = 8000});
                }
            });
        }
        for (int i = 0; i < 1000 && stats().traversals_in_flight < endless.size(); i++) {
            std::this_thread::sleep_for(1ms);
        }
        for (int i = 0; i < 5; i++) {
            Run r = run(rig.grant, stride.id(), kForEver,
                        {.hop_limit = 5, .timeout_ms = 2000 * slowness()});
            CHECK(r.error == 0);
            CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
        }
        stop = true;
        exo_grant_revoke revoke = {};
        revoke.flags = EXO_REVOKE_SELF;
        CHECK(call(grant.fd, EXO_GRANT_REVOKE, &revoke) == 0);
        for (std::thread& t : endless) {
            t.join();
        }
    }
    expect_nothing_left();
}

TEST_CASE("killed callers leave nothing behind") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        exo_grant_open request = {};
        request.hop_limit = UINT32_MAX;
        Opened grant = rig.regrant(request);
        REQUIRE(grant.error == 0);
        for (int i = 0; i < rounds(20); i++) {
            pid_t child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                for (;;) {
                    run(grant.fd, stride.id(), kForEver,
                        {.timeout_ms = 20000, .engine = static_cast<uint16_t>(i % 4)});
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5 + i));
            REQUIRE(kill(child, SIGKILL) == 0);
            int status = 0;
            REQUIRE(waitpid(child, &status, 0) == child);
            CHECK(WIFSIGNALED(status));
        }
    }
    expect_nothing_left();
}

TEST_CASE("the volume's fd and the daemon's mount go while lookups run") {
    uint32_t volume_id = 0;
    {
        auto rig = std::make_unique<Rig>(64 * 4096);
        volume_id = rig->info.volume_id;
        const Program& stride = shared_program("test_stride");
        std::atomic<bool> stop = false;
        std::atomic<uint64_t> good = 0, other = 0;
        int grant = dup(rig->grant.get());
        std::thread reader([&] {
            while (!stop) {
                Run r = run(grant, stride.id(), &kForEver, sizeof(kForEver), {.hop_limit = 50});
                (r.error == 0 && r.outcome.cause == EXO_END_HOP_LIMIT ? good : other)++;
            }
        });
        rig->volume.reset();
        rig.reset();
        uint64_t at = good;
        for (int i = 0; i < 1000 && good < at + 20; i++) {
            std::this_thread::sleep_for(10ms);
        }
        CHECK(good >= at + 20);  // they go on without a daemon
        CHECK(other == 0);

        // A daemon comes back and finds its pin.
        exo_attach info = {};
        Opened again = attach(device_path(), &info);
        REQUIRE(again.error == 0);
        CHECK(info.volume_id == volume_id);
        CHECK(info.out_flags == EXO_ATTACH_REATTACHED);
        exo_detach detach = {.grace_ms = 10, .flags = 0};
        CHECK(call(again.fd, EXO_VOLUME_DETACH, &detach) == 0);
        stop = true;
        reader.join();
        Run r = run(grant, stride.id(), &kForEver, sizeof(kForEver), {});
        CHECK(r.error == -EKEYREVOKED);
        close(grant);
    }
    expect_nothing_left();
}

TEST_SUITE_END();
