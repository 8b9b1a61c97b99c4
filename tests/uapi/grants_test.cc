// SPDX-License-Identifier: MIT
// Who gets a grant and who does not; what revocation does to those who have one.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "mail.h"
#include "rig.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

int grant_error(int file_fd, exo_grant_open request = {}) {
    return open_grant(file_fd, request).error;
}

short poll_now(const Fd& fd) {
    pollfd p = {.fd = fd.get(), .events = POLLIN | POLLPRI, .revents = 0};
    poll(&p, 1, 0);
    return p.revents;
}

}  // namespace

TEST_SUITE_BEGIN("grants");

TEST_CASE("only an open, readable, pinned file of the bound mount is exchanged for a grant") {
    Rig rig;
    CHECK(pin(rig.volume, kIno + 2, 1, 4096, {}) == 0);  // "reborn" has generation 9

    CHECK(grant_error(-1) == -EBADF);
    CHECK(grant_error(1000) == -EBADF);
    CHECK(grant_error(open_path(rig.mount.path("file"), O_PATH).get()) == -EBADF);
    CHECK(grant_error(open_path(rig.mount.path("file"), O_WRONLY).get()) == -EBADF);
    CHECK(grant_error(open_path(rig.mount.path("file"), O_RDWR).get()) == 0);
    CHECK(grant_error(open_path(rig.mount.path("other"), O_RDONLY).get()) == -ENODATA);
    CHECK(grant_error(open_path(rig.mount.path("reborn"), O_RDONLY).get()) == -ESTALE);
    CHECK(grant_error(open_path(rig.mount.path("folder"), O_RDONLY).get()) == -ENODATA);
    CHECK(grant_error(open_path(rig.mount.path(), O_RDONLY).get()) == -ENODATA);
    CHECK(grant_error(open_path("/dev/null", O_RDONLY).get()) == -EXDEV);
    CHECK(grant_error(open_path("/proc/self/status", O_RDONLY).get()) == -EXDEV);
    CHECK(grant_error(open_exo().get()) == -EXDEV);
    CHECK(grant_error(rig.volume.get()) == -EXDEV);
    CHECK(grant_error(rig.grant.get()) == -EXDEV);
    CHECK(grant_error(open_path(device_path(), O_RDONLY).get()) == -EXDEV);
    exo_grant_open flags = {};
    flags.flags = 1;
    CHECK(grant_error(rig.file.get(), flags) == -EINVAL);
    flags.file_fd = -1;
    CHECK(grant_error(-1, flags) == -EINVAL);
}

TEST_CASE("somebody else's FUSE mount with the same numbers gets nothing") {
    Rig rig;
    FakeMount adversary({{"file", {.ino = kIno, .generation = kGeneration, .size_bytes = kMiB}}});
    Fd file = open_path(adversary.path("file"), O_RDONLY);
    REQUIRE(file);
    struct stat mine = {}, theirs = {};
    REQUIRE(fstat(rig.file.get(), &mine) == 0);
    REQUIRE(fstat(file.get(), &theirs) == 0);
    CHECK(mine.st_ino == theirs.st_ino);
    CHECK(grant_error(file.get()) == -EXDEV);
    CHECK(grant_error(rig.file.get()) == 0);

    // A later bind replaces the first one, for both.
    REQUIRE(bind(rig.volume, adversary) == 0);
    CHECK(grant_error(rig.file.get()) == -EXDEV);
    CHECK(grant_error(file.get()) == 0);
    REQUIRE(bind(rig.volume, rig.mount) == 0);
    CHECK(grant_error(file.get()) == -EXDEV);
}

TEST_CASE("a device number that is used again is not the bound mount") {
    Opened volume = attach(device_path());
    REQUIRE(volume.error == 0);
    REQUIRE(pin(volume.fd, kIno, kGeneration, kMiB, {}) == 0);
    std::map<std::string, FakeFile> files = {
        {"file", {.ino = kIno, .generation = kGeneration, .size_bytes = kMiB}}};
    dev_t bound = 0;
    {
        FakeMount first(files);
        REQUIRE(bind(volume.fd, first) == 0);
        Fd file = open_path(first.path("file"), O_RDONLY);
        struct stat st = {};
        REQUIRE(fstat(file.get(), &st) == 0);
        bound = st.st_dev;
        CHECK(grant_error(file.get()) == 0);
    }
    // The binding did not keep the mount busy. Anonymous device numbers are handed out lowest
    // first.
    bool reused = false;
    for (int i = 0; i < 20 && !reused; i++) {
        FakeMount next(files);
        Fd file = open_path(next.path("file"), O_RDONLY);
        struct stat st = {};
        REQUIRE(fstat(file.get(), &st) == 0);
        reused = st.st_dev == bound;
        CHECK(grant_error(file.get()) == -EXDEV);
    }
    CHECK(reused);
    CHECK(unpin(volume.fd, kIno, kGeneration) == 0);
}

TEST_CASE("ranges") {
    constexpr uint64_t kSize = 16 * 4096 + 100;
    Rig rig(kSize, {{0, 0, 16 * 4096}});
    struct {
        const char* what;
        uint64_t start, len;
        int error;
        uint64_t granted;
    } table[] = {
        {"all", 0, 0, 0, kSize},
        {"all, said so", 0, kSize, 0, kSize},
        {"to the end", 4096, 0, 0, kSize - 4096},
        {"a part", 4096, 4096, 0, 4096},
        {"the partial block", 16 * 4096, 100, 0, 100},
        {"the partial block to the end", 16 * 4096, 0, 0, 100},
        {"behind the end", kSize + 4096, 0, -ERANGE, 0},
        {"odd start", 1, 4096, -ERANGE, 0},
        {"odd end", 0, 4095, -ERANGE, 0},
        {"across the end", 0, kSize + 1, -ERANGE, 0},
        {"the block around the end", 0, 17 * 4096, -ERANGE, 0},
        {"overflow", 4096, ~4095ULL, -ERANGE, 0},
        {"more overflow", ~4095ULL, 8192, -ERANGE, 0},
    };
    for (const auto& row : table) {
        CAPTURE(row.what);
        exo_grant_open request = {};
        request.range_start = row.start;
        request.range_len = row.len;
        Opened opened = rig.regrant(request);
        CHECK(opened.error == row.error);
        if (!opened.error) {
            exo_grant_entry entry = {};
            REQUIRE(call(opened.fd, EXO_GRANT_INFO, &entry) == 0);
            CHECK(entry.range_start == row.start);
            CHECK(entry.range_len == row.granted);
            CHECK(entry.ino == kIno);
            CHECK(entry.generation == kGeneration);
            CHECK(entry.pid == static_cast<uint32_t>(getpid()));
            CHECK(entry.uid == getuid());
            CHECK(std::string(entry.comm).rfind("exo_uapi", 0) == 0);
        }
    }
}

TEST_CASE("a grant fd closes on exec and travels over a socket") {
    Rig rig;
    CHECK(fcntl(rig.grant.get(), F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(rig.volume.get(), F_GETFD) == FD_CLOEXEC);

    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    Fd left(pair[0]), right(pair[1]);
    REQUIRE(send_fd(left.get(), rig.grant.get(), 'g') == 0);
    char kind = 0;
    Fd received(receive_fd(right.get(), &kind));
    REQUIRE(received);
    CHECK(kind == 'g');
    rig.grant.reset();

    const Program& act = shared_program("test_act");
    Run r = run(received, act.id(), test_act_args{});
    CHECK(r.error == 0);
    CHECK(r.outcome.cause == EXO_END_DONE);
}

TEST_CASE("a grant lives on in a program that was started with it, when its opener has gone") {
    Rig rig;
    const Program& act = shared_program("test_act");
    int in[2], out[2], told[2];
    REQUIRE(pipe2(in, O_CLOEXEC) == 0);
    REQUIRE(pipe2(out, O_CLOEXEC) == 0);
    REQUIRE(pipe2(told, O_CLOEXEC) == 0);
    Fd in_read(in[0]), in_write(in[1]), out_read(out[0]), out_write(out[1]);
    Fd told_read(told[0]), told_write(told[1]);

    pid_t opener = fork();
    REQUIRE(opener >= 0);
    if (opener == 0) {
        rig.grant.reset();  // or it would be open until the program is started
        exo_grant_open request = {};
        request.file_fd = rig.file.get();
        int fd = call(open_exo(), EXO_IOC_GRANT_OPEN, &request);
        bool good =
            fd >= 0 && fcntl(fd, F_SETFD, 0) == 0 &&
            write(told[1], &request.grant_id, sizeof(request.grant_id)) == sizeof(request.grant_id);
        if (good && fork() == 0) {
            dup2(in[0], STDIN_FILENO);
            dup2(out[1], STDOUT_FILENO);
            execl("/proc/self/exe", "exo_uapi_test", "--traverse", std::to_string(fd).c_str(),
                  std::to_string(act.id()).c_str(), nullptr);
            _exit(1);
        }
        _exit(good ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(opener, &status, 0) == opener);
    REQUIRE(status == 0);
    uint64_t id = 0;
    REQUIRE(read(told_read.get(), &id, sizeof(id)) == sizeof(id));
    rig.grant.reset();

    // Nobody but the new program has it, and its record is the opener's.
    exo_grant_entry entry = {};
    exo_list list = {};
    list.kind = EXO_LIST_GRANTS;
    list.entry_bytes = sizeof(entry);
    list.buffer = reinterpret_cast<uint64_t>(&entry);
    list.buffer_bytes = sizeof(entry);
    REQUIRE(call(open_exo(), EXO_IOC_LIST, &list) == 0);
    REQUIRE(list.count == 1);
    CHECK(entry.grant_id == id);
    CHECK(entry.uid == getuid());
    CHECK(entry.pid == 0);
    CHECK(std::string(entry.comm).rfind("exo_uapi", 0) == 0);
    CHECK(entry.traversals == 0);

    REQUIRE(write(in_write.get(), "x", 1) == 1);
    out_write.reset();
    std::string answer(64, 0);
    ssize_t bytes = read(out_read.get(), answer.data(), answer.size());
    REQUIRE(bytes > 0);
    answer.resize(static_cast<size_t>(bytes));
    CHECK(answer == "0 0");  // no error, EXO_END_DONE
    for (int i = 0; i < 500 && stats().grants; i++) {
        std::this_thread::sleep_for(10ms);
    }
    CHECK(stats().grants == 0);
}

TEST_CASE("a grant that is sent to another user's process is good there, and still its opener's") {
    Rig rig;
    const Program& act = shared_program("test_act");
    int pair[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    Fd left(pair[0]), right(pair[1]);
    const pid_t opener = getpid();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // What it had by being forked must not be what it uses.
        rig.grant.reset();
        int bad =
            setgroups(0, nullptr) || setresgid(3000, 3000, 3000) || setresuid(3000, 3000, 3000);
        char kind = 0;
        Fd grant(receive_fd(right.get(), &kind));
        bad |= (!grant || kind != 'g') << 1;
        Run r = run(grant, act.id(), test_act_args{});
        bad |= (r.error || r.outcome.cause != EXO_END_DONE) << 2;
        exo_grant_entry entry = {};
        bad |= (call(grant, EXO_GRANT_INFO, &entry) != 0) << 3;
        bad |= (entry.uid != 0 || entry.pid != static_cast<uint32_t>(opener)) << 4;
        bad |= (entry.traversals != 1) << 5;
        _exit(bad);
    }
    REQUIRE(send_fd(left.get(), rig.grant.get(), 'g') == 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("revocation: told, given time, cut") {
    Rig rig;
    const Program& act = shared_program("test_act");
    exo_stats before = stats();
    CHECK(poll_now(rig.grant) == 0);

    std::thread revoker([&] {
        exo_unpin result = {};
        CHECK(unpin(rig.volume, kIno, kGeneration, 500, &result) == 0);
        CHECK(result.revoked_grants == 1);
        CHECK(result.drained_traversals == 0);
    });
    // Told.
    pollfd p = {.fd = rig.grant.get(), .events = POLLPRI, .revents = 0};
    REQUIRE(poll(&p, 1, 5000) == 1);
    CHECK(p.revents == POLLPRI);
    // In the grace period the grant still works, but no new one is given.
    CHECK(run(rig.grant, act.id(), test_act_args{}).outcome.cause == EXO_END_DONE);
    CHECK(rig.regrant().error == -EKEYREVOKED);
    CHECK(pin(rig.volume, kIno, kGeneration, 4096, {}) == -EEXIST);
    revoker.join();
    // Cut.
    CHECK(poll_now(rig.grant) == (POLLPRI | POLLHUP));
    CHECK(run(rig.grant, act.id(), test_act_args{}).error == -EKEYREVOKED);
    CHECK(rig.regrant().error == -ENODATA);
    exo_grant_entry entry = {};
    CHECK(call(rig.grant, EXO_GRANT_INFO, &entry) == 0);
    CHECK(entry.state == EXO_GRANT_STATE_CUT);
    CHECK(stats().revoked_grants - before.revoked_grants == 1);
    CHECK(stats().pins == 0);

    // A new pin of the same file does not bring the old grant back.
    REQUIRE(pin(rig.volume, kIno, kGeneration, 4096, {}) == 0);
    CHECK(run(rig.grant, act.id(), test_act_args{}).error == -EKEYREVOKED);
    CHECK(rig.regrant().error == 0);
}

TEST_CASE("a holder who closes ends the grace period early") {
    Rig rig;
    auto begin = std::chrono::steady_clock::now();
    std::thread holder([&] {
        pollfd p = {.fd = rig.grant.get(), .events = POLLPRI, .revents = 0};
        REQUIRE(poll(&p, 1, 5000) == 1);
        rig.grant.reset();
    });
    exo_unpin result = {};
    CHECK(unpin(rig.volume, kIno, kGeneration, 20000, &result) == 0);
    holder.join();
    CHECK(result.revoked_grants == 0);
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("the in-flight limit") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_grant_open request = {};
    request.in_flight_limit = 1;
    request.hop_limit = UINT32_MAX;
    Opened one = rig.regrant(request);
    REQUIRE(one.error == 0);
    test_stride_args for_ever = {.stride = 0, .count = 0, .len = 4096};
    std::thread busy([&] { run(one.fd, stride.id(), for_ever, {.timeout_ms = 500}); });
    exo_grant_entry entry = {};
    for (int i = 0; i < 5000 && !entry.in_flight; i++) {
        REQUIRE(call(one.fd, EXO_GRANT_INFO, &entry) == 0);
    }
    CHECK(entry.in_flight == 1);
    CHECK(run(one.fd, stride.id(), for_ever).error == -EAGAIN);
    const RunOptions few = {.hop_limit = 3, .timeout_ms = 20000};
    CHECK(run(rig.grant, stride.id(), for_ever, few).outcome.cause == EXO_END_HOP_LIMIT);
    busy.join();
    CHECK(run(one.fd, stride.id(), for_ever, few).outcome.cause == EXO_END_HOP_LIMIT);
}

// Of a device on which a look for partitions takes seconds.
TEST_CASE("a device whose opening takes long keeps nobody from others") {
    const char* stuck = std::getenv("EXO_TEST_STUCK_DEVICE");
    if (!stuck) {
        return;
    }
    Rig rig;
    Fd device = open_path(stuck, O_RDWR);
    REQUIRE(device);
    std::atomic<bool> scanned = false, attached = false;
    std::thread scan([&] {
        ioctl(device.get(), BLKRRPART);
        scanned = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    std::thread other([&] {
        exo_attach request = {};
        request.device_fd = device.get();
        std::copy(kUuid.begin(), kUuid.end(), request.uuid);
        request.uuid[0]++;
        int ret = call(open_exo(), EXO_IOC_ATTACH, &request);
        attached = true;
        CHECK(ret >= 0);
        if (ret >= 0) {
            close(ret);
        }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    auto begin = std::chrono::steady_clock::now();
    CHECK(rig.regrant().error == 0);
    exo_attach again = {};
    CHECK(attach(device_path(), &again).error == -EBUSY);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
    CHECK_FALSE(scanned);
    CHECK_FALSE(attached);
    scan.join();
    other.join();
}

TEST_SUITE_END();
