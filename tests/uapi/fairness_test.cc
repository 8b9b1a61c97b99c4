// SPDX-License-Identifier: MIT
// Who gets how much of a device that tenants share, and what a rate lets through. Tenants are
// processes of different users that keep many endless traversals in flight through io_uring. They
// are run by tests/vm/16-uapi-fairness.sh on a device whose time is the bottleneck; elsewhere only
// what does not depend on that.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "rig.h"
#include "slow.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

bool slow_device() {
    return std::getenv("EXO_TEST_FAIRNESS");
}

// How one tenant reads.
struct Load {
    uid_t uid = 0;
    uint32_t in_flight = 1;
    uint32_t read_bytes = 4096;
    uint32_t weight = 0;  // of the tenant, as the administrator sets it
    uint32_t hops = 2;    // of one traversal, which counts when it has ended
    const char* program = "test_stride";
    uint32_t rounds = 0;  // of test_spin, in each step
    uint16_t fan_out = 0;
    uint32_t late_ms = 0;       // before it begins
    exo_grant_open terms = {};  // of its grant
};

int set_tenant(const Rig& rig, uid_t uid, uint32_t weight, uint32_t rate_reads = 0,
               uint64_t rate_bytes = 0) {
    exo_tenant_set request = {};
    request.volume_id = rig.info.volume_id;
    request.key = uid;
    request.weight = weight;
    request.rate_reads = rate_reads;
    request.rate_bytes = rate_bytes;
    return call(open_exo(), EXO_IOC_TENANT_SET, &request);
}

std::vector<exo_tenant_entry> tenants() {
    std::vector<exo_tenant_entry> all(64);
    exo_list list = {};
    list.kind = EXO_LIST_TENANTS;
    list.entry_bytes = sizeof(all[0]);
    list.buffer = reinterpret_cast<uint64_t>(all.data());
    list.buffer_bytes = static_cast<uint32_t>(all.size() * sizeof(all[0]));
    REQUIRE(call(open_exo(), EXO_IOC_LIST, &list) == 0);
    all.resize(list.count);
    return all;
}

exo_tenant_entry tenant(uint64_t key) {
    for (const exo_tenant_entry& t : tenants()) {
        if (t.key == key) {
            return t;
        }
    }
    return {};
}

// What the processes tell each other.
struct Board {
    std::atomic<uint32_t> ready;
    std::atomic<bool> go;
    std::atomic<bool> stop;
    struct {
        std::atomic<uint64_t> reads;
        std::atomic<uint64_t> direct;  // of them, issued in the completion of the one before
        std::atomic<uint64_t> failures;
        std::atomic<uint64_t> worst_us;  // of one traversal
    } of[16];
};

// Keeps load.in_flight traversals going until told to stop. Runs in a child of its own.
void keep_reading(const Load& load, int file, uint32_t program, Board* board, size_t index) {
    exo_grant_open request = load.terms;
    request.file_fd = file;
    request.in_flight_limit = load.in_flight;
    if (setresgid(load.uid, load.uid, load.uid) || setresuid(load.uid, load.uid, load.uid)) {
        _exit(1);
    }
    int exo = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
    int grant = ioctl(exo, EXO_IOC_GRANT_OPEN, &request);
    io_uring ring = {};
    if (grant < 0 || io_uring_queue_init(load.in_flight, &ring, 0)) {
        _exit(2);
    }
    struct Slot {
        exo_traverse request;
        Clock::time_point started;
    };
    std::vector<Slot> slots(load.in_flight);
    test_spin_args args = {
        .stride = {.stride = load.read_bytes, .count = load.hops, .len = load.read_bytes},
        .rounds = load.rounds,
        .reserved = 0};
    auto start = [&](size_t i) {
        Slot& slot = slots[i];
        slot.request = {};
        slot.request.program_id = program;
        slot.request.hop_bytes = load.read_bytes;
        slot.request.start_offset = i % 16 * load.read_bytes;
        slot.request.hop_limit = load.hops;
        slot.request.fan_out = load.fan_out;
        slot.request.timeout_ms = 20000;
        slot.request.args = reinterpret_cast<uint64_t>(&args);
        slot.request.args_len = sizeof(args);
        slot.started = Clock::now();
        io_uring_sqe* sqe = io_uring_get_sqe(&ring);
        if (!sqe) {
            _exit(3);
        }
        memset(sqe, 0, sizeof(*sqe));
        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = grant;
        sqe->cmd_op = EXO_GRANT_TRAVERSE;
        sqe->user_data = i;
        exo_uring_pointer pointer = {.traverse = reinterpret_cast<uint64_t>(&slot.request),
                                     .reserved = 0};
        memcpy(sqe->cmd, &pointer, sizeof(pointer));
    };
    board->ready++;
    while (!board->go) {
        std::this_thread::sleep_for(1ms);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(load.late_ms));
    for (size_t i = 0; i < slots.size(); i++) {
        start(i);
    }
    io_uring_submit(&ring);
    while (!board->stop) {
        io_uring_cqe* cqe = nullptr;
        __kernel_timespec patience = {.tv_sec = 0, .tv_nsec = 20'000'000};
        if (io_uring_wait_cqe_timeout(&ring, &cqe, &patience)) {
            continue;
        }
        size_t i = cqe->user_data;
        Slot& slot = slots[i];
        bool ended_well = cqe->res == EXO_END_DONE || cqe->res == EXO_END_HOP_LIMIT;
        io_uring_cqe_seen(&ring, cqe);
        board->of[index].reads += slot.request.outcome.hops;
        board->of[index].direct += slot.request.outcome.direct;
        board->of[index].failures += !ended_well;
        uint64_t us = static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - slot.started)
                .count());
        if (us > board->of[index].worst_us) {
            board->of[index].worst_us = us;
        }
        start(i);
        io_uring_submit(&ring);
    }
    _exit(0);
}

struct Share {
    double reads = 0;  // during the measurement
    uint64_t direct = 0;
    uint64_t worst_us = 0;
};

// The device is as much slower as the kernel, within reason, so that its time stays the bottleneck.
uint32_t patience() {
    return std::min(slowness(), 4u);
}

// Lets all of them read at once, and counts for a while after a start that does not count. What
// traversals have read that had not ended is missing, so they should be short against the time.
std::vector<Share> compete(Rig& rig, const std::vector<Load>& loads,
                           std::chrono::milliseconds time = 2000ms) {
    time *= patience();
    void* memory =
        mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    Board* board = new (memory) Board{};
    std::vector<pid_t> children;
    for (size_t i = 0; i < loads.size(); i++) {
        const Load& load = loads[i];
        REQUIRE(set_tenant(rig, load.uid, load.weight) == 0);
        uint32_t program = shared_program(load.program).id();
        pid_t child = fork();
        if (child == 0) {
            keep_reading(load, rig.file.get(), program, board, i);
        }
        children.push_back(child);
    }
    for (int i = 0; i < 1000 && board->ready < loads.size(); i++) {
        std::this_thread::sleep_for(10ms);
    }
    REQUIRE(board->ready == loads.size());
    board->go = true;
    std::this_thread::sleep_for(400ms * patience());
    std::vector<Share> shares(loads.size());
    for (size_t i = 0; i < loads.size(); i++) {
        shares[i].reads = -static_cast<double>(board->of[i].reads);
        board->of[i].worst_us = 0;
    }
    std::this_thread::sleep_for(time);
    for (size_t i = 0; i < loads.size(); i++) {
        shares[i].reads += static_cast<double>(board->of[i].reads);
        shares[i].worst_us = board->of[i].worst_us;
    }
    board->stop = true;
    for (pid_t child : children) {
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
    std::string text;
    for (size_t i = 0; i < loads.size(); i++) {
        CHECK(board->of[i].failures == 0);
        shares[i].direct = board->of[i].direct;
        text += " " + std::to_string(static_cast<uint64_t>(shares[i].reads)) + " (worst " +
                std::to_string(shares[i].worst_us / 1000) + " ms)";
        CHECK(set_tenant(rig, loads[i].uid, 0) == 0);
    }
    MESSAGE("reads:" << text);
    munmap(memory, sizeof(Board));
    for (int i = 0; i < 500 && stats().traversals_in_flight; i++) {
        std::this_thread::sleep_for(10ms);
    }
    CHECK(stats().traversals_in_flight == 0);
    return shares;
}

double jain(const std::vector<Share>& shares) {
    double sum = 0, squares = 0;
    for (const Share& s : shares) {
        sum += s.reads;
        squares += s.reads * s.reads;
    }
    return sum * sum / (static_cast<double>(shares.size()) * squares);
}

}  // namespace

TEST_SUITE_BEGIN("fairness");

TEST_CASE("a light tenant beside a greedy one") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Load light = {.uid = 1001, .in_flight = 4};
    const Load greedy = {.uid = 1002, .in_flight = 300};
    Share alone = compete(rig, {light})[0];
    std::vector<Share> both = compete(rig, {light, greedy});
    double device = both[0].reads + both[1].reads;
    // It gets half of the device, or all that it can use.
    double fair = std::min(alone.reads, device / 2);
    CHECK(both[0].reads >= 0.8 * fair);
    // And the other one gets the rest: nothing is held back for nobody.
    double most = compete(rig, {greedy})[0].reads;
    CHECK(device >= 0.8 * most);
}

TEST_CASE("a read that waits in line takes the fast path from nobody") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Load heavy = {
        .uid = 1002, .in_flight = 8, .weight = EXO_WEIGHT_MAX, .hops = 50, .late_ms = 200};
    if (!compete(rig, {heavy})[0].direct) {
        MESSAGE("this kernel reissues nothing in an interrupt");
        return;
    }
    // There is no room for most of these until the other one comes, and no turn afterwards.
    const Load crowd = {.uid = 1001, .in_flight = 64, .weight = 1};
    CHECK(compete(rig, {crowd, heavy})[1].direct > 0);
}

TEST_CASE("equal tenants get equal parts") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    std::vector<Load> loads;
    for (uint32_t i = 0; i < 8; i++) {
        loads.push_back({.uid = 1001 + i, .in_flight = 8 + 4 * i});
    }
    double index = jain(compete(rig, loads));
    MESSAGE("Jain's index " << index);
    CHECK(index >= 0.95);
}

TEST_CASE("parts follow weights") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    std::vector<Share> shares = compete(rig,
                                        {{.uid = 1001, .in_flight = 16, .weight = 100, .hops = 1},
                                         {.uid = 1002, .in_flight = 16, .weight = 200, .hops = 1},
                                         {.uid = 1003, .in_flight = 16, .weight = 400, .hops = 1}},
                                        3000ms);
    double whole = shares[0].reads + shares[1].reads + shares[2].reads;
    CHECK(shares[0].reads / whole == doctest::Approx(1 / 7.).epsilon(0.1));
    CHECK(shares[1].reads / whole == doctest::Approx(2 / 7.).epsilon(0.1));
    CHECK(shares[2].reads / whole == doctest::Approx(4 / 7.).epsilon(0.1));
}

TEST_CASE("bytes count, not reads") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 65536);
    std::vector<Share> shares = compete(
        rig, {{.uid = 1001, .in_flight = 64}, {.uid = 1002, .in_flight = 64, .read_bytes = 16384}});
    CHECK(shares[0].reads / shares[1].reads == doctest::Approx(4).epsilon(0.15));
}

TEST_CASE("traversals that explode take no more than their tenant's part") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Load light = {.uid = 1001, .in_flight = 4};
    Share alone = compete(rig, {light})[0];
    std::vector<Share> both = compete(
        rig,
        {light,
         {.uid = 1002, .in_flight = 32, .hops = 16, .program = "test_explode", .fan_out = 16}});
    double device = both[0].reads + both[1].reads;
    CHECK(both[0].reads >= 0.8 * std::min(alone.reads, device / 2));
}

// ---- on any device ----

exo_program_entry program_entry(uint32_t id) {
    exo_program_entry entry = {};
    exo_list list = {};
    list.kind = EXO_LIST_PROGRAMS;
    list.entry_bytes = sizeof(entry);
    list.cursor = id - 1;
    list.buffer = reinterpret_cast<uint64_t>(&entry);
    list.buffer_bytes = sizeof(entry);
    REQUIRE(call(open_exo(), EXO_IOC_LIST, &list) == 0);
    REQUIRE(entry.program_id == id);
    return entry;
}

TEST_CASE("a program that computes for long is left to workers, and its neighbours go on") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Load light = {.uid = 1001, .in_flight = 2, .hops = 8};
    Load spinner = {.uid = 1002, .in_flight = 4, .hops = 16, .program = "test_spin"};
    spinner.rounds = 30000;
    // Half of the processors are his fair share of what he had alone. A busy host takes from what
    // emulated ones give him, so one measurement of three that shows it is enough.
    std::vector<Share> both;
    double part = 0;
    for (int attempt = 0; attempt < 3 && part < 0.2; attempt++) {
        const Share alone = compete(rig, {light}, 1000ms)[0];
        both = compete(rig, {light, spinner}, 1500ms);
        part = both[0].reads / 1.5 / double(alone.reads);
    }
    CHECK(part >= 0.2);
    CHECK(both[1].reads > 0);
    CHECK(program_entry(shared_program("test_spin").id()).slow > 0);
    CHECK(tenant(0).cpu_ns < 5'000'000'000);
}

// Well below what one traversal reads without it, also on a slow kernel.
const uint32_t kRate = 400 / patience();

// Reads of 4 KiB, one after the other, and how long they took.
struct Timed {
    uint32_t cause;
    uint32_t hops;
    double seconds;
};
Timed read_for(const Fd& grant, uint32_t count) {
    test_stride_args args = {.stride = 4096, .count = count, .len = 4096};
    Run r = run(grant, shared_program("test_stride").id(), args,
                {.hop_limit = count, .timeout_ms = 20000});
    REQUIRE(r.error == 0);
    return {r.outcome.cause, r.outcome.hops, static_cast<double>(r.outcome.elapsed_ns) / 1e9};
}

// Never faster than the rate but for what may come at once (20 ms of it and one read), and not much
// slower.
void check_rate(const Timed& t, double reads, double rate) {
    CHECK(t.cause == EXO_END_DONE);
    double due = reads / rate;
    CHECK(t.seconds >= due - 0.025 - 1 / rate);
    CHECK(t.seconds <= due * 1.3 + 0.1);
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
    check_rate(read_for(limited.fd, 240), 240, kRate);

    terms.rate_reads = 0;
    terms.rate_bytes = kRate * 4096;
    Opened slow = rig.regrant(terms);
    REQUIRE(slow.error == 0);
    check_rate(read_for(slow.fd, 240), 240, kRate);

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
    Timed second = {};
    std::thread other([&] { second = read_for(children[1], 150); });
    Timed first = read_for(children[0], 150);
    other.join();
    check_rate(first.seconds > second.seconds ? first : second, 300, kRate);

    // One with less has less, and its parent the rest.
    wish.rate_reads = kRate / 4;
    Fd narrow(call(limited.fd, EXO_GRANT_DERIVE, &wish));
    REQUIRE(narrow);
    check_rate(read_for(narrow, 50), 50, kRate / 4.);
}

TEST_CASE("a tenant keeps to its rate, whatever its grants allow, until it is lifted") {
    if (slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    REQUIRE(set_tenant(rig, 0, 0, kRate) == 0);
    CHECK(tenant(0).rate_reads == kRate);
    CHECK(tenant(0).flags == (EXO_TENANT_KEPT | (tenant(0).flags & EXO_TENANT_ACTIVE)));
    check_rate(read_for(rig.grant, 200), 200, kRate);
    CHECK(tenant(0).waited > 100);
    REQUIRE(set_tenant(rig, 0, 0, 0, kRate * 4096) == 0);
    check_rate(read_for(rig.grant, 200), 200, kRate);

    // Those who wait go on at once.
    REQUIRE(set_tenant(rig, 0, 0, 1) == 0);
    Timed t = {};
    std::thread reader([&] { t = read_for(rig.grant, 50); });
    for (int i = 0; i < 500 && !tenant(0).waiting; i++) {
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
        for (int i = 0; i < 500 && !tenant(0).waiting; i++) {
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
    for (int i = 0; i < 500 && !tenant(0).waiting; i++) {
        std::this_thread::sleep_for(2ms);
    }
    CHECK(tenant(0).waiting == 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (int i = 0; i < 500 && stats().traversals_in_flight; i++) {
        std::this_thread::sleep_for(2ms);
    }
    CHECK(stats().traversals_in_flight == 0);
    CHECK(tenant(0).waiting == 0);
}

TEST_CASE("weights, and what the administrator sets, are bounded and listed") {
    Rig rig(64 * 4096);
    auto weight_of = [](const Fd& grant) {
        exo_grant_entry entry = {};
        REQUIRE(call(grant, EXO_GRANT_INFO, &entry) == 0);
        return entry.weight;
    };
    auto opened_with = [&](uint32_t weight) {
        exo_grant_open terms = {};
        terms.weight = weight;
        Opened opened = rig.regrant(terms);
        REQUIRE(opened.error == 0);
        return std::move(opened.fd);
    };
    CHECK(weight_of(rig.grant) == EXO_WEIGHT_DEFAULT);
    CHECK(weight_of(opened_with(1)) == 1);
    CHECK(weight_of(opened_with(EXO_WEIGHT_MAX)) == EXO_WEIGHT_MAX);
    CHECK(weight_of(opened_with(EXO_WEIGHT_MAX + 1)) == EXO_WEIGHT_MAX);
    Fd parent = opened_with(50);
    for (auto [asked, got] : {std::pair{0u, 50u}, {49u, 49u}, {50u, 50u}, {51u, 50u}}) {
        CAPTURE(asked);
        exo_grant_derive wish = {};
        wish.weight = asked;
        Fd child(call(parent, EXO_GRANT_DERIVE, &wish));
        REQUIRE(child);
        CHECK(weight_of(child) == got);
    }

    exo_tenant_set good = {};
    good.volume_id = rig.info.volume_id;
    good.key = 4711;
    good.weight = 300;
    auto answer = [](exo_tenant_set request) {
        return call(open_exo(), EXO_IOC_TENANT_SET, &request);
    };
    exo_tenant_set bad = good;
    bad.flags = 2;
    CHECK(answer(bad) == -EINVAL);
    bad.volume_id = 0;  // arguments come before the volume
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.volume_id++;
    CHECK(answer(bad) == -ENOENT);
    bad = good;
    bad.weight = EXO_WEIGHT_MAX + 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.key = UINT32_MAX;
    CHECK(answer(bad) == -EINVAL);

    // Kept without any grant, and forgotten when the terms are the usual ones.
    CHECK(tenant(4711).tenant_id == 0);
    CHECK(answer(good) == 0);
    CHECK(tenant(4711).weight == 300);
    CHECK(tenant(4711).grants == 0);
    CHECK(tenant(4711).flags == EXO_TENANT_KEPT);
    CHECK(tenant(4711).volume_id == rig.info.volume_id);
    good.weight = EXO_WEIGHT_MAX;
    CHECK(answer(good) == 0);
    CHECK(tenant(4711).weight == EXO_WEIGHT_MAX);
    exo_tenant_set usual = good;
    usual.weight = 0;
    CHECK(answer(usual) == 0);
    CHECK(tenant(4711).tenant_id == 0);
    CHECK(answer(usual) == 0);

    // A cgroup's number may be a user's, too, and is another tenant.
    good.flags = EXO_TENANT_CGROUP;
    CHECK(answer(good) == 0);
    CHECK(tenant(4711).flags == (EXO_TENANT_CGROUP | EXO_TENANT_KEPT));

    // The one who opened the grant; without privilege one sees nobody else.
    exo_grant_entry entry = {};
    REQUIRE(call(rig.grant, EXO_GRANT_INFO, &entry) == 0);
    CHECK(entry.tenant_id == tenant(0).tenant_id);
    CHECK(tenant(0).grants >= 1);
    CHECK(tenants().size() == 2);
    pid_t child = fork();
    if (child == 0) {
        bool fine = !setresuid(1001, 1001, 1001);
        int exo = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
        exo_grant_open request = {};
        request.file_fd = rig.file.get();
        int grant = ioctl(exo, EXO_IOC_GRANT_OPEN, &request);
        fine &= grant >= 0 && ioctl(exo, EXO_IOC_TENANT_SET, &good) < 0 && errno == EPERM;
        std::vector<exo_tenant_entry> seen = tenants();
        fine &= seen.size() == 1 && seen[0].key == 1001 && seen[0].grants == 1;
        _exit(fine ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(tenant(1001).tenant_id == 0);

    // All of it goes with the volume.
    exo_detach detach = {};
    REQUIRE(call(rig.volume, EXO_VOLUME_DETACH, &detach) == 0);
    rig.volume.reset();
    rig.grant.reset();
    parent.reset();
    CHECK(tenants().empty());
}

TEST_SUITE_END();
