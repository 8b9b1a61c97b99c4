// SPDX-License-Identifier: MIT
#include "tenants.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

namespace exo::test {

using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

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

void leave_user(const Competitor& c) {
    if (!c.cgroup.empty()) {
        std::ofstream(c.cgroup + "/cgroup.procs") << getpid() << std::flush;
    }
    if (setresgid(c.uid, c.uid, c.uid) || setresuid(c.uid, c.uid, c.uid)) {
        _exit(1);
    }
}

// An ordinary program that wants a whole processor.
[[noreturn]] void compute(Board* board) {
    board->ready++;
    while (!board->stop) {
    }
    _exit(0);
}

// Keeps c.in_flight traversals going until told to stop.
[[noreturn]] void keep_reading(const Competitor& c, int file, uint32_t program, Board* board,
                               size_t index) {
    exo_grant_open request = c.terms;
    request.file_fd = file;
    request.in_flight_limit = c.in_flight;
    int exo = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
    int grant = ioctl(exo, EXO_IOC_GRANT_OPEN, &request);
    io_uring ring = {};
    unsigned flags = c.engine == EXO_ENGINE_POLLED ? IORING_SETUP_IOPOLL : 0;
    if (grant < 0 || io_uring_queue_init(c.in_flight, &ring, flags)) {
        _exit(2);
    }
    struct Slot {
        exo_traverse request;
        Clock::time_point started;
    };
    std::vector<Slot> slots(c.in_flight);
    test_spin_args args = {.stride = {.stride = c.read_bytes, .count = c.hops, .len = c.read_bytes},
                           .rounds = c.rounds,
                           .reserved = 0};
    auto start = [&](size_t i) {
        Slot& slot = slots[i];
        slot.request = {};
        slot.request.program_id = program;
        slot.request.hop_bytes = c.read_bytes;
        slot.request.start_offset = i % 16 * c.read_bytes;
        slot.request.hop_limit = c.hops;
        slot.request.fan_out = c.fan_out;
        slot.request.engine = c.engine;
        slot.request.timeout_ms = 30000;
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
    std::this_thread::sleep_for(std::chrono::milliseconds(c.late_ms));
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

uint64_t key_of(const Competitor& c) {
    struct stat status = {};
    if (c.cgroup.empty()) {
        return c.uid;
    }
    REQUIRE(stat(c.cgroup.c_str(), &status) == 0);
    return status.st_ino;
}

int set_weight(const Rig& rig, const Competitor& c, uint32_t weight) {
    return set_tenant(rig, key_of(c), weight, 0, 0, c.cgroup.empty() ? 0 : EXO_TENANT_CGROUP);
}

// Adds what one of them has had so far, or takes it away.
void count(const Board& board, size_t index, pid_t child, const Competitor& c, double sign,
           Share& share) {
    double run = 0, wait = 0;
    std::ifstream("/proc/" + std::to_string(child) + "/schedstat") >> run >> wait;
    share.run += sign * run / 1e9;
    share.wait += sign * wait / 1e9;
    share.reads += sign * static_cast<double>(board.of[index].reads);
    share.cpu += sign * static_cast<double>(tenant(key_of(c)).cpu_ns) / 1e9;
}

std::string text(const Share& s) {
    char line[200];
    snprintf(line, sizeof(line), " %.0f (worst %.0f ms, cpu %.2f, run %.2f, waited %.2f s)",
             s.reads, static_cast<double>(s.worst_us) / 1000, s.cpu, s.run, s.wait);
    return line;
}

}  // namespace

bool slow_device() {
    return std::getenv("EXO_TEST_FAIRNESS");
}

uint32_t patience() {
    return std::min(slowness(), 4u);
}

int set_tenant(const Rig& rig, uint64_t key, uint32_t weight, uint32_t rate_reads,
               uint64_t rate_bytes, uint32_t flags) {
    exo_tenant_set request = {};
    request.volume_id = rig.info.volume_id;
    request.key = key;
    request.weight = weight;
    request.rate_reads = rate_reads;
    request.rate_bytes = rate_bytes;
    request.flags = flags;
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

std::vector<Share> compete(Rig& rig, const std::vector<Competitor>& competitors,
                           std::chrono::milliseconds time) {
    // The slow device is as slow as the kernel, so that as many reads are counted there.
    const uint32_t times = slow_device() ? slowness() : patience();
    time *= times;
    void* memory =
        mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    Board* board = new (memory) Board{};
    std::vector<pid_t> children;
    for (size_t i = 0; i < competitors.size(); i++) {
        const Competitor& c = competitors[i];
        REQUIRE(set_weight(rig, c, c.weight) == 0);
        uint32_t program = shared_program(c.program).id();
        pid_t child = fork();
        if (child == 0) {
            leave_user(c);
            if (c.computes) {
                compute(board);
            }
            keep_reading(c, rig.file.get(), program, board, i);
        }
        children.push_back(child);
    }
    for (int i = 0; i < 1000 && board->ready < competitors.size(); i++) {
        std::this_thread::sleep_for(10ms);
    }
    REQUIRE(board->ready == competitors.size());
    board->go = true;
    std::this_thread::sleep_for(400ms * times);
    std::vector<Share> shares(competitors.size());
    for (size_t i = 0; i < competitors.size(); i++) {
        count(*board, i, children[i], competitors[i], -1, shares[i]);
        board->of[i].worst_us = 0;
    }
    std::this_thread::sleep_for(time);
    for (size_t i = 0; i < competitors.size(); i++) {
        count(*board, i, children[i], competitors[i], 1, shares[i]);
        shares[i].worst_us = board->of[i].worst_us;
    }
    board->stop = true;
    for (pid_t child : children) {
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
    std::string line;
    for (size_t i = 0; i < competitors.size(); i++) {
        CHECK(board->of[i].failures == 0);
        shares[i].direct = board->of[i].direct;
        line += text(shares[i]);
        CHECK(set_weight(rig, competitors[i], 0) == 0);
    }
    MESSAGE("reads:" << line);
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

}  // namespace exo::test
