// SPDX-License-Identifier: MIT
// Suspends the machine's devices while traversals of every kind are in flight, and lets it wake up.
// The guest's root file system does not survive that, so this program keeps all that it needs in
// memory, and ends the machine by itself (with the words of tools/vm/guest/init). Run by
// tools/vm/run -- build/tests/uapi/exo_uapi_suspend
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "load.h"
#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

int control_port() {
    for (const auto& port : std::filesystem::directory_iterator("/sys/class/virtio-ports")) {
        std::string name;
        std::ifstream(port.path() / "name") >> name;
        if (name == "exo.control") {
            return open(("/dev/" + port.path().filename().string()).c_str(), O_WRONLY | O_CLOEXEC);
        }
    }
    return -1;
}

// An open file of sysfs, since no path can be looked up later.
struct Knob {
    explicit Knob(const std::string& path) : fd(open_path(path, O_WRONLY)) { REQUIRE(fd); }
    int put(const std::string& text) const {
        return write(fd.get(), text.data(), text.size()) < 0 ? -errno : 0;
    }
    Fd fd;
};

// Traversals that nobody waits for, and that go on until the grant is cut.
struct Endless {
    static constexpr uint32_t kCount = 32;
    Endless(const Fd& grant, uint64_t expected) : args{expected}, ring(kCount), requests(kCount) {
        for (uint32_t i = 0; i < kCount; i++) {
            requests[i].program_id = shared_program("test_guard").id();
            requests[i].hop_bytes = 4096;
            requests[i].timeout_ms = 30000;
            requests[i].engine = i % 2 ? EXO_ENGINE_AUTO : EXO_ENGINE_DISPATCH;
            requests[i].args = address(&args);
            requests[i].args_len = sizeof(args);
            ring.push(grant.get(), &requests[i], i);
        }
        ring.submit(kCount);
    }
    // Waits for all; how many had an end that they should not.
    uint32_t wrong_ends() {
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < kCount; i++) {
            int end = ring.reap().res;
            wrong += end != EXO_END_REVOKED && end != EXO_END_HOP_LIMIT && end != EXO_END_TIMEOUT;
        }
        return wrong;
    }
    test_guard_args args;
    Ring ring;
    std::vector<exo_traverse> requests;
};

}  // namespace

TEST_CASE("suspended and woken up under load: nothing is lost, and nothing waits for ever") {
    Knob test("/sys/power/pm_test"), state("/sys/power/state");
    // The kernel spins meanwhile, which on a slow machine its own watchdog takes for a fault.
    Knob("/sys/module/suspend/parameters/pm_test_delay").put("1");
    // In one process, as it must be for lockdep, which does not know that another one thaws the queues.
    Knob("/sys/power/pm_async").put("0");
    Tree tree = write_tree(device_path(), 1, 120, 12);
    // Kept: to unmount takes files that cannot be read any more.
    Rig& rig = *new Rig(kTreeFileBytes);
    // One block, again and again, behind the tree.
    constexpr uint64_t kNumber = 0x1122334455667788;
    std::vector<uint64_t> block(512, kNumber);
    write_device(device_path(), kTreeFileBytes, block.data(), 4096);
    REQUIRE(pin(rig.volume, kIno + 1, 1, 4096, {{0, kTreeFileBytes, 4096}}) == 0);
    exo_grant_open request = {};
    request.hop_limit = UINT32_MAX;
    Fd file = open_path(rig.mount.path("other"), O_RDONLY);
    Opened grant = open_grant(file.get(), request);
    REQUIRE(grant.error == 0);
    shared_program("test_guard");
    Fd exo = open_exo();
    Load load(rig.grant, tree, 30000);
    REQUIRE(load.goes_on());
    REQUIRE(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);

    for (int round = 0; round < 2; round++) {
        Endless endless(grant.fd, kNumber);
        REQUIRE(test.put("devices") == 0);
        CHECK(state.put("freeze") == 0);
        CHECK(load.goes_on());
        CHECK(unpin(rig.volume, kIno + 1, 1) == 0);
        CHECK(endless.wrong_ends() == 0);
        REQUIRE(pin(rig.volume, kIno + 1, 1, 4096, {{0, kTreeFileBytes, 4096}}) == 0);
        Opened next = open_grant(file.get(), request);
        REQUIRE(next.error == 0);
        grant.fd = std::move(next.fd);
    }
    Ends ends = load.stop();
    MESSAGE(ends.text());
    CHECK(ends.wrong == 0);
    // On a slow kernel it takes longer than any traversal may.
    CHECK(ends.of(EXO_END_DONE) + (slowness() > 1 ? ends.of(EXO_END_TIMEOUT) : 0) == ends.all());
    CHECK(unpin(rig.volume, kIno, kGeneration) == 0);
    exo_stats now = {};
    REQUIRE(call(exo, EXO_IOC_STATS, &now) == 0);
    CHECK(now.traversals_in_flight == 0);
    CHECK(now.pins == 1);
}

int main(int argc, char** argv) {
    int control = control_port();
    if (control < 0) {
        fputs("this ends the machine, so it runs in one of tools/vm/run only\n", stderr);
        return 2;
    }
    doctest::Context context(argc, argv);
    int status = context.run();
    fflush(nullptr);
    std::string done = "done " + std::to_string(status) + "\n";
    if (write(control, done.data(), done.size()) < 0) {
        return status;
    }
    reboot(RB_POWER_OFF);
    return status;
}
