// SPDX-License-Identifier: MIT
// The device's own life under load: its controller is reset, its driver unbound, its slot emptied
// and filled again, it stops answering, CPUs and with them queues go and come. Every traversal has
// a definite end in bounded time, nothing is left, and the device can be attached again when it is
// back. Only with EXO_TEST_LIFETIMES, since all that happens to the device's other users, too.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "load.h"
#include "rig.h"
#include "ring.h"
#include "slow.h"
#include "tree.h"

using namespace exo::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// Of traversals that are to fail, and of those that are not, however busy the processors are.
constexpr uint32_t kTimeoutMs = 5000;
constexpr uint32_t kLongMs = 20000;

// A call may outlast its traversals' time limit by what the driver takes to give up.
const auto kBound = 20s + 5s * slowness();

// Counted as skipped where it was not asked for.
auto chosen() {
    return doctest::skip(!std::getenv("EXO_TEST_LIFETIMES"));
}

bool put(const fs::path& file, const std::string& text) {
    int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool good = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(fd);
    return good;
}

// An NVMe drive, and where it stands in sysfs. Its names change when it comes back.
struct Drive {
    Drive() : Drive(device_path()) {}
    explicit Drive(const std::string& path) : name(fs::path(path).filename()) {
        controller = fs::canonical("/sys/block/" + name + "/device");
        pci = fs::canonical(controller / "device");
        slot = pci.filename();
    }
    fs::path queue() const { return "/sys/block/" + name + "/queue"; }

    // The drive that sits in the slot now; waits for it.
    static std::string in_slot(const std::string& slot) {
        for (int i = 0; i < 1000; i++) {
            for (const auto& disk : fs::directory_iterator("/sys/block")) {
                std::error_code error;
                fs::path at = fs::canonical(disk.path() / "device" / "device", error);
                fs::path node = "/dev" / disk.path().filename();
                if (!error && at.filename() == slot && fs::exists(node)) {
                    return node;
                }
            }
            std::this_thread::sleep_for(10ms);
        }
        FAIL("no drive came back to " << slot);
        return "";
    }

    std::string name;
    fs::path controller;
    fs::path pci;
    std::string slot;
};

// Its registers read as ones, and it reaches no memory; until its driver resets it.
void stop_answering(const Drive& drive) {
    Fd config = open_path(drive.pci / "config", O_RDWR);
    REQUIRE(config);
    uint16_t command = 0;
    REQUIRE(pwrite(config.get(), &command, sizeof(command), 4) == sizeof(command));
}

// Tree, rig and grant for a load.
struct Scene {
    Scene() : tree(write_tree(device_path(), 1, 120, 12)), rig(kTreeFileBytes) {
        exo_grant_open request = {};
        request.in_flight_limit = 1024;
        Opened opened = rig.regrant(request);
        REQUIRE(opened.error == 0);
        grant = std::move(opened.fd);
    }
    Tree tree;
    Rig rig;
    Fd grant;
};

void expect_ends(const Ends& ends, const std::set<int>& allowed) {
    MESSAGE(ends.text());
    CHECK(ends.wrong == 0);
    CHECK(ends.longest < kBound);
    for (const auto& [end, count] : ends.count) {
        CHECK_MESSAGE(allowed.contains(end), count << " ended with " << end);
    }
}

void expect_nothing_left() {
    expect_idle();
    exo_stats now = stats();
    CHECK(now.grants == 0);
    CHECK(now.pins == 0);
    CHECK(now.volumes == 0);
}

// How long a step may take without its program being called slow, for as long as this lives.
class StepBudget {
  public:
    explicit StepBudget(const std::string& microseconds) {
        std::getline(std::ifstream(kFile), before_);
        REQUIRE(put(kFile, microseconds));
    }
    ~StepBudget() { put(kFile, before_); }
    StepBudget(const StepBudget&) = delete;
    StepBudget& operator=(const StepBudget&) = delete;

  private:
    static constexpr const char* kFile = "/sys/module/exo/parameters/step_budget_us";
    std::string before_;
};

// Keeps 16 traversals with long steps going in a ring.
void spin(const Fd& grant, uint32_t program, uint16_t engine, const std::atomic<bool>& stop,
          std::atomic<uint64_t>& ends) {
    constexpr unsigned kAtOnce = 16;
    const test_spin_args args = {
        .stride = {.stride = 4096, .count = 8, .len = 4096}, .rounds = 3000, .reserved = 0};
    std::vector<exo_traverse> entries(kAtOnce);
    Ring ring(kAtOnce);
    auto start = [&](uint64_t i) {
        entries[i] = {};
        entries[i].program_id = program;
        entries[i].hop_bytes = 4096;
        entries[i].timeout_ms = kLongMs;
        entries[i].engine = engine;
        entries[i].args = address(&args);
        entries[i].args_len = sizeof(args);
        ring.push(grant.get(), &entries[i], i);
        ring.submit(1);
    };
    for (unsigned i = 0; i < kAtOnce; i++) {
        start(i);
    }
    for (unsigned running = kAtOnce; running;) {
        Ring::Completion c = ring.reap();
        CHECK(c.res == EXO_END_DONE);
        ends++;
        if (stop) {
            running--;
        } else {
            start(c.data);
        }
    }
}

// On a slow kernel a reset takes about as long as a traversal may.
const std::set<int> kServed =
    slowness() > 1 ? std::set<int>{EXO_END_DONE, EXO_END_TIMEOUT} : std::set<int>{EXO_END_DONE};
// Of a device that fails, or has gone.
const std::set<int> kFailed = {EXO_END_DONE, EXO_END_IO, EXO_END_NO_REQUEST, EXO_END_TIMEOUT};

}  // namespace

TEST_SUITE_BEGIN("lifetimes");

TEST_CASE("the program, and then the volume, is detached under load of every kind") {
    {
        Scene scene;
        Load load(scene.grant, scene.tree, kLongMs);
        REQUIRE(load.goes_on());
        drop_shared_programs();
        CHECK(load.all_fail(kBound));
        expect_ends(load.stop(), {EXO_END_DONE, EXO_END_DETACHED, -ENOENT});
    }
    {
        Scene scene;
        Load load(scene.grant, scene.tree, kLongMs);
        REQUIRE(load.goes_on());
        exo_detach detach = {};
        CHECK(call(scene.rig.volume, EXO_VOLUME_DETACH, &detach) == 0);
        CHECK(stats().traversals_in_flight == 0);
        scene.rig.volume.reset();
        CHECK(load.all_fail(kBound));
        expect_ends(load.stop(), {EXO_END_DONE, EXO_END_REVOKED, -EKEYREVOKED});
    }
    expect_nothing_left();
}

TEST_CASE("a controller that is reset under load: reads are repeated, and none is lost" *
          chosen()) {
    {
        Scene scene;
        Drive drive;
        Load load(scene.grant, scene.tree, kLongMs);
        for (int i = 0; i < 4; i++) {
            REQUIRE(load.goes_on());
            REQUIRE(put(drive.controller / "reset_controller", "1"));
        }
        CHECK(load.goes_on());
        expect_ends(load.stop(), kServed);
    }
    expect_nothing_left();
}

// The driver freezes its queues in the process that asks, or in the worker that finds a request late, and
// thaws them in another worker, which Linux 6.12 does not tell lockdep: it reports locks that are held
// where the first one ends, and every order of locks after that.
// (It does so without proving anything, too: prove_locking=0 does not end its list of held locks.)
bool lockdep_watches() {
    return fs::exists("/proc/lockdep_stats");
}

TEST_CASE("a PCI function that is reset under load" * chosen()) {
    if (lockdep_watches()) {
        MESSAGE("not tried: lockdep takes what the driver does then for a mistake");
        return;
    }
    Drive drive;
    REQUIRE(fs::exists(drive.pci / "reset"));
    {
        Scene scene;
        Load load(scene.grant, scene.tree, kLongMs);
        for (int i = 0; i < 4; i++) {
            REQUIRE(load.goes_on());
            REQUIRE(put(drive.pci / "reset", "1"));
        }
        CHECK(load.goes_on());
        expect_ends(load.stop(), kServed);
    }
    expect_nothing_left();
}

TEST_CASE("schedulers and the queue's depth are changed under load of every engine" * chosen()) {
    {
        Scene scene;
        Drive drive;
        Load load(scene.grant, scene.tree, kLongMs);
        for (int i = 0; i < 3; i++) {
            for (const char* scheduler : {"mq-deadline", "none"}) {
                REQUIRE(load.goes_on());
                REQUIRE(put(drive.queue() / "scheduler", scheduler));
            }
            put(drive.queue() / "nr_requests", std::to_string(64 + 64 * i));
        }
        CHECK(load.goes_on());
        expect_ends(load.stop(), kServed);
    }
    expect_nothing_left();
}

// Both engines want the same few workers then, and the one keeps requests that the freeze waits
// for.
TEST_CASE("the queue is frozen while a slow program runs on it by two engines" * chosen()) {
    {
        Rig rig(kTreeFileBytes);
        Drive drive;
        StepBudget budget("10");
        std::atomic<bool> stop = false;
        std::atomic<uint64_t> ends = 0;
        std::vector<std::thread> rings;
        uint32_t program = shared_program("test_spin").id();
        for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_DISPATCH}) {
            rings.emplace_back([&, engine] { spin(rig.grant, program, engine, stop, ends); });
        }
        for (int i = 0; i < 10; i++) {
            auto begun = std::chrono::steady_clock::now();
            uint64_t enough = ends + 20;
            while (ends < enough && std::chrono::steady_clock::now() - begun < kBound) {
                std::this_thread::sleep_for(5ms);
            }
            CHECK(ends >= enough);
            begun = std::chrono::steady_clock::now();
            REQUIRE(put(drive.queue() / "scheduler", i % 2 ? "none" : "mq-deadline"));
            CHECK(std::chrono::steady_clock::now() - begun < 10s * slowness());
        }
        stop = true;
        for (std::thread& ring : rings) {
            ring.join();
        }
    }
    expect_nothing_left();
}

// EXO_TEST_SLOW_DEVICE is another one, takes long for each read and few at a time.
TEST_CASE("workers that wait for one device are no other's" *
          doctest::skip(!std::getenv("EXO_TEST_SLOW_DEVICE"))) {
    constexpr uint32_t kCrowd = 600;
    // The first reads lie in a hole, and are more than a submitter works off by itself.
    constexpr uint32_t kHoles = 20;
    const std::vector<exo_extent> extents = {
        {.file_offset = kHoles * 4096, .disk_offset = 0, .length = 4096}};
    const test_stride_args args = {.stride = 4096, .count = kHoles + 1, .len = 4096};
    Rig quick((kHoles + 1) * 4096, extents);
    std::string usual = device_path();
    setenv("EXO_TEST_DEVICE", std::getenv("EXO_TEST_SLOW_DEVICE"), 1);
    Rig slow((kHoles + 1) * 4096, extents);
    setenv("EXO_TEST_DEVICE", usual.c_str(), 1);
    exo_grant_open terms = {};
    terms.in_flight_limit = kCrowd;
    Opened crowds = slow.regrant(terms);
    REQUIRE(crowds.error == 0);

    cpu_set_t all, one;
    REQUIRE(sched_getaffinity(0, sizeof(all), &all) == 0);
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
    Ring crowd(1024), ring(1);
    exo_traverse entry = {};
    entry.program_id = shared_program("test_stride").id();
    entry.hop_bytes = 4096;
    entry.timeout_ms = 30000;
    entry.args = address(&args);
    entry.args_len = sizeof(args);
    std::vector<exo_traverse> entries(kCrowd, entry);
    for (uint32_t i = 0; i < kCrowd; i++) {
        entries[i].engine = EXO_ENGINE_DISPATCH;
        crowd.push(crowds.fd.get(), &entries[i], i);
    }
    crowd.submit(kCrowd);
    for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_DISPATCH}) {
        CAPTURE(engine);
        auto begun = std::chrono::steady_clock::now();
        entry.engine = engine;
        ring.push(quick.grant.get(), &entry, 0);
        ring.submit(1);
        CHECK(ring.reap().res == EXO_END_DONE);
        CHECK(std::chrono::steady_clock::now() - begun < 1s * slowness());
    }
    for (uint32_t i = 0; i < kCrowd; i++) {
        CHECK(crowd.reap().res == EXO_END_DONE);
    }
    REQUIRE(sched_setaffinity(0, sizeof(all), &all) == 0);
}

TEST_CASE("CPUs go offline and come back under load" * chosen()) {
    const fs::path online = "/sys/devices/system/cpu/cpu1/online";
    REQUIRE(fs::exists(online));
    {
        Scene scene;
        Load load(scene.grant, scene.tree, kLongMs);
        for (int i = 0; i < 4; i++) {
            REQUIRE(load.goes_on());
            REQUIRE(put(online, "0"));
            REQUIRE(load.goes_on());
            REQUIRE(put(online, "1"));
        }
        expect_ends(load.stop(), kServed);
    }
    expect_nothing_left();
}

TEST_CASE("the driver is unbound under load: a plain error, and the volume can go" * chosen()) {
    Drive drive;
    {
        Scene scene;
        Load load(scene.grant, scene.tree, kTimeoutMs);
        REQUIRE(load.goes_on());
        REQUIRE(put("/sys/bus/pci/drivers/nvme/unbind", drive.slot));
        CHECK(load.all_fail(kBound));
        expect_ends(load.stop(), kFailed);

        // Asked for alone, with nothing else going on, every engine says the same.
        for (uint16_t engine :
             {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
            Run r = run(scene.grant.get(), shared_program("test_tree").id(), nullptr, 0,
                        {.engine = engine});
            CAPTURE(engine);
            CHECK(r.error == 0);
            CHECK(r.outcome.cause == EXO_END_IO);
            CHECK(r.outcome.error == -ENODEV);
        }
        CHECK(scene.rig.regrant().error == 0);
        CHECK(pin(scene.rig.volume, 99, 1, 4096, {{0, 0, 4096}}) == -ENODEV);
        CHECK(unpin(scene.rig.volume, kIno, kGeneration) == 0);

        // The drive comes back while the volume of the one that was is still there.
        REQUIRE(put("/sys/bus/pci/drivers/nvme/bind", drive.slot));
        setenv("EXO_TEST_DEVICE", Drive::in_slot(drive.slot).c_str(), 1);
        Opened again = attach(device_path());
        CHECK(again.error == 0);
    }
    expect_nothing_left();
}

TEST_CASE("the device is removed under load, with the daemon dead, and comes back" * chosen()) {
    Drive drive;
    {
        auto scene = std::make_unique<Scene>();
        Fd grant(dup(scene->grant.get()));
        uint32_t volume_id = scene->rig.info.volume_id;
        Load load(grant, scene->tree, kTimeoutMs);
        REQUIRE(load.goes_on());
        scene->rig.volume.reset();
        scene.reset();
        REQUIRE(load.goes_on());
        REQUIRE(put(drive.pci / "remove", "1"));
        CHECK(load.all_fail(kBound));
        expect_ends(load.stop(), kFailed);
        CHECK(stats().volumes == 1);

        REQUIRE(put("/sys/bus/pci/rescan", "1"));
        setenv("EXO_TEST_DEVICE", Drive::in_slot(drive.slot).c_str(), 1);
        {
            Scene fresh;
            Load again(fresh.grant, fresh.tree, kLongMs);
            CHECK(again.goes_on());
            expect_ends(again.stop(), kServed);
        }
        exo_release release = {};
        release.volume_id = volume_id;
        CHECK(call(open_exo(), EXO_IOC_RELEASE, &release) == 0);
    }
    expect_nothing_left();
}

TEST_CASE("killed pollers do not wait for a drive that has stopped answering" * chosen()) {
    if (lockdep_watches()) {
        MESSAGE("not tried: lockdep takes what the driver does then for a mistake");
        return;
    }
    constexpr uint32_t kBatch = 4;
    {
        Scene scene;
        Drive drive;
        // Until then the driver waits, too.
        REQUIRE(put(drive.queue() / "io_timeout", "6000"));
        const test_stride_args args = {.stride = 4096, .count = 0, .len = 4096};
        exo_traverse entry = {};
        entry.program_id = shared_program("test_stride").id();
        entry.hop_bytes = 4096;
        entry.hop_limit = 65536;
        entry.timeout_ms = 30000;
        entry.engine = EXO_ENGINE_POLLED;
        entry.args = address(&args);
        entry.args_len = sizeof(args);
        std::vector<exo_traverse> entries(kBatch, entry);
        exo_batch batch = {.traversals = address(entries.data()),
                           .count = kBatch,
                           .entry_bytes = sizeof(exo_traverse),
                           .flags = 0,
                           .reserved = 0};
        std::vector<pid_t> children;
        for (bool many : {false, true}) {
            children.push_back(fork());
            if (children.back() == 0) {
                for (;;) {
                    many ? call(scene.grant, EXO_GRANT_BATCH, &batch)
                         : call(scene.grant, EXO_GRANT_TRAVERSE, &entry);
                }
            }
        }
        for (int i = 0; i < 1000 && stats().traversals_in_flight < 1 + kBatch; i++) {
            std::this_thread::sleep_for(5ms);
        }
        stop_answering(drive);
        std::this_thread::sleep_for(200ms);
        auto begun = std::chrono::steady_clock::now();
        for (pid_t child : children) {
            REQUIRE(kill(child, SIGKILL) == 0);
        }
        for (pid_t child : children) {
            int status = 0;
            CHECK(waitpid(child, &status, 0) == child);
        }
        CHECK(std::chrono::steady_clock::now() - begun < 2s);
        CHECK(stats().traversals_in_flight > 0);

        // What they left has its end all the same, and the drive goes on.
        auto end = std::chrono::steady_clock::now() + kBound;
        while (stats().traversals_in_flight && std::chrono::steady_clock::now() < end) {
            std::this_thread::sleep_for(20ms);
        }
        CHECK(stats().traversals_in_flight == 0);
        Run r = run(scene.grant.get(), entry.program_id, &args, sizeof(args),
                    {.hop_limit = 3, .timeout_ms = kLongMs, .engine = EXO_ENGINE_POLLED});
        CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
        CHECK(put(drive.queue() / "io_timeout", "30000"));
    }
    expect_nothing_left();
}

TEST_CASE("a drive that stops answering is reset by its driver, and nobody waits for longer" *
          chosen()) {
    if (lockdep_watches()) {
        MESSAGE("not tried: lockdep takes what the driver does then for a mistake");
        return;
    }
    {
        Scene scene;
        Drive drive;
        REQUIRE(put(drive.queue() / "io_timeout", "1500"));
        Load load(scene.grant, scene.tree, kTimeoutMs);
        for (int i = 0; i < 2; i++) {
            REQUIRE(load.goes_on());
            stop_answering(drive);
            std::this_thread::sleep_for(500ms);
        }
        CHECK(load.goes_on());
        Ends ends = load.stop();
        expect_ends(ends, kFailed);
        CHECK(ends.longest > 1000ms);
        CHECK(put(drive.queue() / "io_timeout", "30000"));
    }
    expect_nothing_left();
}

// Where a volume still had the drive when it came back, it has another name. Must be the last one.
TEST_CASE("the drive comes back under the lowest name there is" * chosen()) {
    Drive drive;
    REQUIRE(put(drive.pci / "remove", "1"));
    REQUIRE(put("/sys/bus/pci/rescan", "1"));
    setenv("EXO_TEST_DEVICE", Drive::in_slot(drive.slot).c_str(), 1);
}

TEST_SUITE_END();
