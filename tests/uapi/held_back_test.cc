// SPDX-License-Identifier: MIT
// Reads that the io controller holds back for seconds: they keep nobody from the device, and
// neither the end of a pin nor of a program waits for more than a few of them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr uid_t kNobody = 65534;
constexpr uint32_t kReadBytes = 65536;
constexpr uint32_t kAtOnce = 64;

std::chrono::milliseconds since(Clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
}

bool write_line(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    return file.good();
}

// MAJOR:MINOR of the test's disk; limits are not for partitions.
std::string disk_number() {
    std::filesystem::path folder =
        "/sys/class/block/" + std::filesystem::path(device_path()).filename().string();
    if (exists(folder / "partition")) {
        folder = canonical(folder).parent_path();
    }
    std::string number;
    std::getline(std::ifstream(folder / "dev"), number);
    return number;
}

// A cgroup whose io.max is so many bytes a second on the test's disk.
class Group {
  public:
    explicit Group(uint32_t bytes) {
        if (!std::filesystem::exists(root_ / "cgroup.procs")) {
            mount("cgroup2", root_.c_str(), "cgroup2", 0, nullptr);
        }
        good_ = write_line(root_ / "cgroup.subtree_control", "+io");
        std::filesystem::create_directory(path_);
        good_ =
            good_ && write_line(path_ / "io.max", disk_number() + " rbps=" + std::to_string(bytes));
    }
    ~Group() {
        for (int i = 0; i < 500 && rmdir(path_.c_str()) && errno == EBUSY; i++) {
            std::this_thread::sleep_for(10ms);
        }
        write_line(root_ / "cgroup.subtree_control", "-io");
    }
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    bool good() const { return good_; }
    bool enter() const { return write_line(path_ / "cgroup.procs", "0"); }
    void lift() const { write_line(path_ / "io.max", disk_number() + " rbps=max"); }

  private:
    std::filesystem::path root_ = "/sys/fs/cgroup";
    std::filesystem::path path_ = root_ / "exo-held-back";
    bool good_ = false;
};

// A process of another user in the group that keeps kAtOnce traversals of large reads going on the
// rig's file until it is killed.
class Crowd {
  public:
    Crowd(const Rig& rig, const Group& group, uint32_t program) {
        int ready[2];
        REQUIRE(pipe(ready) == 0);
        child_ = fork();
        REQUIRE(child_ >= 0);
        if (child_ == 0) {
            read_on(rig, group, program, ready[1]);
        }
        close(ready[1]);
        char byte = 0;
        started_ = read(ready[0], &byte, 1) == 1;
        close(ready[0]);
    }
    ~Crowd() {
        kill(child_, SIGKILL);
        waitpid(child_, nullptr, 0);
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    bool started() const { return started_; }

  private:
    [[noreturn]] static void read_on(const Rig& rig, const Group& group, uint32_t program,
                                     int ready) {
        exo_grant_open request = {};
        request.file_fd = rig.file.get();
        request.hop_limit = UINT32_MAX;
        request.in_flight_limit = kAtOnce;
        io_uring ring = {};
        if (!group.enter() || setresgid(kNobody, kNobody, kNobody) ||
            setresuid(kNobody, kNobody, kNobody) || io_uring_queue_init(kAtOnce, &ring, 0)) {
            _exit(1);
        }
        int exo = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
        int grant = ioctl(exo, EXO_IOC_GRANT_OPEN, &request);
        if (grant < 0) {
            _exit(2);
        }
        test_stride_args args = {.stride = kReadBytes, .count = 0, .len = kReadBytes};
        std::vector<exo_traverse> requests(kAtOnce);
        for (exo_traverse& r : requests) {
            r.program_id = program;
            r.hop_bytes = kReadBytes;
            r.timeout_ms = 30000;
            r.args = address(&args);
            r.args_len = sizeof(args);
            io_uring_sqe* sqe = io_uring_get_sqe(&ring);
            memset(sqe, 0, sizeof(*sqe));
            sqe->opcode = IORING_OP_URING_CMD;
            sqe->fd = grant;
            sqe->cmd_op = EXO_GRANT_TRAVERSE;
            exo_uring_pointer pointer = {.traverse = address(&r), .reserved = 0};
            memcpy(sqe->cmd, &pointer, sizeof(pointer));
        }
        if (io_uring_submit(&ring) != static_cast<int>(kAtOnce) || write(ready, "", 1) != 1) {
            _exit(3);
        }
        for (;;) {
            pause();
        }
    }

    pid_t child_ = -1;
    bool started_ = false;
};

// One block, by a program that reads no more.
Run lookup(const Fd& grant) {
    test_act_args args = {.offset = 0, .len = 0, .read = 0, .verdict = EXO_DONE, .report_len = 0};
    return run(grant, shared_program("test_act").id(), args);
}

}  // namespace

TEST_SUITE_BEGIN("held back");

TEST_CASE("reads that are held back take no place in the device from others") {
    Rig rig(16 * kReadBytes);
    Group group(kReadBytes);
    if (!group.good()) {
        MESSAGE("the kernel does not limit reads of a cgroup here");
        return;
    }
    REQUIRE(lookup(rig.grant).error == 0);
    Crowd crowd(rig, group, shared_program("test_stride").id());
    REQUIRE(crowd.started());
    std::chrono::milliseconds worst = 0ms;
    for (auto begin = Clock::now(); since(begin) < 3000ms;) {
        auto asked = Clock::now();
        Run r = lookup(rig.grant);
        worst = std::max(worst, since(asked));
        REQUIRE(r.error == 0);
        REQUIRE(r.outcome.cause == EXO_END_DONE);
        std::this_thread::sleep_for(2ms);
    }
    CHECK(worst < 200ms * slowness());
    MESSAGE("beside them the longest wait was " << worst.count() << " ms");
    group.lift();
}

TEST_CASE("the end of a pin waits for a few of the reads that are held back, not for all") {
    Rig rig(16 * kReadBytes);
    // Four a second, so 16 s for all.
    Group group(4 * kReadBytes);
    if (!group.good()) {
        MESSAGE("the kernel does not limit reads of a cgroup here");
        return;
    }
    Crowd crowd(rig, group, shared_program("test_stride").id());
    REQUIRE(crowd.started());
    std::this_thread::sleep_for(500ms);
    auto begin = Clock::now();
    CHECK(unpin(rig.volume, kIno, kGeneration) == 0);
    std::chrono::milliseconds took = since(begin);
    CHECK(took < 4000ms * slowness());
    MESSAGE("the end took " << took.count() << " ms");
    group.lift();
}

TEST_CASE("a program is detached while reads of its traversals are held back") {
    drop_shared_programs();
    Rig rig(16 * kReadBytes);
    // One in eight seconds.
    Group group(kReadBytes / 8);
    if (!group.good()) {
        MESSAGE("the kernel does not limit reads of a cgroup here");
        return;
    }
    Program stride("test_stride");
    Crowd crowd(rig, group, stride.id());
    REQUIRE(crowd.started());
    std::this_thread::sleep_for(500ms);
    CHECK(stats().traversals_in_flight > 0);
    auto begin = Clock::now();
    stride.detach();
    // Its name is free when nothing of it is left that could run.
    while (stats().programs && since(begin) < 10000ms) {
        std::this_thread::sleep_for(10ms);
    }
    Program again("test_stride");
    std::chrono::milliseconds took = since(begin);
    CHECK(took < 2000ms * slowness());
    MESSAGE("it took " << took.count() << " ms");
    CHECK(lookup(rig.grant).error == 0);
    group.lift();
}

TEST_SUITE_END();
