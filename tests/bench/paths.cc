// SPDX-License-Identifier: MIT
// A chain of dependent reads, by every way there is, on one device: nanoseconds per chain for each
// depth, as JSON. tests/bench/paths runs it where a nanosecond is an instruction.
//
// Usage: bench_paths DEVICE DEVICE_NS POLLED(0|1). Uses the rig of the interface tests.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>

#include "rig.h"

using namespace exo::test;

namespace {

constexpr uint32_t kBlock = 512;
constexpr uint32_t kBlocks = 4096;
constexpr uint32_t kStride = 31 * kBlock;  // one behind the other is nothing for a read-ahead
constexpr int kRounds = 40;
constexpr uint32_t kBatch = 64;
constexpr uint32_t kMaxDepth = 12;

uint64_t now_ns() {
    timespec t = {};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

off_t offset_of(uint32_t hop) {
    return static_cast<off_t>(uint64_t{hop} * kStride % (kBlocks * kBlock));
}

[[noreturn]] void fail(const char* what) {
    fprintf(stderr, "bench_paths: %s\n", what);
    exit(1);
}

struct Ring {
    Ring(unsigned flags, int fd, void* buffer) {
        if (io_uring_queue_init(128, &ring, flags) != 0) {
            fail("no io_uring of that kind");
        }
        iovec area = {buffer, kBlock};
        if (buffer && (io_uring_register_buffers(&ring, &area, 1) != 0 ||
                       io_uring_register_files(&ring, &fd, 1) != 0)) {
            fail("cannot register buffer and file");
        }
    }
    ~Ring() { io_uring_queue_exit(&ring); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    int finish() {
        io_uring_cqe* cqe = nullptr;
        if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_wait_cqe(&ring, &cqe) != 0) {
            fail("io_uring does not answer");
        }
        int res = cqe->res;
        io_uring_cqe_seen(&ring, cqe);
        return res;
    }

    io_uring ring = {};
};

// The median of some rounds, after two to warm up.
double measure(const std::function<void()>& chain) {
    std::vector<uint64_t> times;
    for (int i = 0; i < kRounds + 2; i++) {
        uint64_t begun = now_ns();
        chain();
        if (i >= 2) {
            times.push_back(now_ns() - begun);
        }
    }
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    return static_cast<double>(times[kRounds / 2]);
}

struct Path {
    std::string name;
    std::function<void(uint32_t depth)> run;
    double lookups = 1;  // of one run
};

void print(const std::vector<Path>& paths, const char* device, uint64_t device_ns) {
    printf("{\"device\": \"%s\", \"device_ns\": %llu, \"block_bytes\": %u, \"paths\": [", device,
           static_cast<unsigned long long>(device_ns), kBlock);
    const char* comma = "";
    for (const Path& path : paths) {
        printf("%s\n  {\"path\": \"%s\", \"ns\": [", comma, path.name.c_str());
        for (uint32_t depth = 1; depth <= kMaxDepth; depth++) {
            printf("%s%.0f", depth > 1 ? ", " : "",
                   measure([&] { path.run(depth); }) / path.lookups);
        }
        printf("]}");
        fflush(stdout);
        comma = ",";
    }
    printf("\n]}\n");
}

exo_traverse request_for(const Program& program, const test_stride_args& args, uint32_t flags) {
    exo_traverse request = {};
    request.flags = flags;
    request.program_id = program.id();
    request.hop_bytes = kBlock;
    request.args = reinterpret_cast<uint64_t>(&args);
    request.args_len = sizeof(args);
    return request;
}

void run_all(const char* device, uint64_t device_ns, bool polled) {
    Rig rig(uint64_t{kBlocks} * kBlock);
    const Program& stride = shared_program("test_stride");
    Fd raw(open(device, O_RDONLY | O_DIRECT | O_CLOEXEC));
    void* buffer = nullptr;
    if (!raw || posix_memalign(&buffer, 4096, 4096) != 0) {
        fail("cannot open the device");
    }
    const uint32_t flags = polled ? uint32_t{EXO_TRAVERSE_POLLED} : 0;
    const unsigned ring_flags = polled ? unsigned{IORING_SETUP_IOPOLL} : 0;
    Ring reads(ring_flags, raw.get(), polled ? buffer : nullptr);
    Ring commands(ring_flags | IORING_SETUP_SQE128 | IORING_SETUP_CQE32, -1, nullptr);
    test_stride_args args = {.stride = kStride, .count = 0, .len = kBlock};
    std::vector<exo_traverse> entries(kBatch);

    std::vector<Path> paths;
    if (!polled) {
        paths.push_back({"read", [&](uint32_t depth) {
                             for (uint32_t i = 0; i < depth; i++) {
                                 if (pread(raw.get(), buffer, kBlock, offset_of(i)) != kBlock) {
                                     fail("a read failed");
                                 }
                             }
                         }});
    }
    paths.push_back({polled ? "io_uring iopoll fixed" : "io_uring", [&](uint32_t depth) {
                         for (uint32_t i = 0; i < depth; i++) {
                             io_uring_sqe* sqe = io_uring_get_sqe(&reads.ring);
                             if (polled) {
                                 io_uring_prep_read_fixed(sqe, 0, buffer, kBlock,
                                                          static_cast<uint64_t>(offset_of(i)), 0);
                                 sqe->flags |= IOSQE_FIXED_FILE;
                             } else {
                                 io_uring_prep_read(sqe, raw.get(), buffer, kBlock,
                                                    static_cast<uint64_t>(offset_of(i)));
                             }
                             if (reads.finish() != kBlock) {
                                 fail("a read failed");
                             }
                         }
                     }});
    paths.push_back({polled ? "exo polled" : "exo completion", [&](uint32_t depth) {
                         args.count = depth;
                         exo_traverse request = request_for(stride, args, flags);
                         if (call(rig.grant, EXO_GRANT_TRAVERSE, &request) != 0 ||
                             request.outcome.hops != depth) {
                             fail("a traversal failed");
                         }
                     }});
    paths.push_back({polled ? "exo io_uring iopoll" : "exo io_uring", [&](uint32_t depth) {
                         args.count = depth;
                         exo_traverse request = request_for(stride, args, flags);
                         exo_uring_traverse command = {};
                         memcpy(&command, &request, offsetof(exo_traverse, outcome));
                         io_uring_sqe* sqe = io_uring_get_sqe(&commands.ring);
                         *sqe = {};
                         sqe->opcode = IORING_OP_URING_CMD;
                         sqe->fd = rig.grant.get();
                         sqe->cmd_op = EXO_URING_TRAVERSE;
                         memcpy(sqe->cmd, &command, sizeof(command));
                         if (commands.finish() != EXO_END_DONE) {
                             fail("a traversal failed");
                         }
                     }});
    paths.push_back({polled ? "exo polled, batch of 64" : "exo batch of 64",
                     [&](uint32_t depth) {
                         args.count = depth;
                         for (exo_traverse& entry : entries) {
                             entry = request_for(stride, args, flags);
                         }
                         exo_batch batch = {
                             .traversals = reinterpret_cast<uint64_t>(entries.data()),
                             .count = kBatch,
                             .entry_bytes = sizeof(exo_traverse),
                             .flags = 0,
                             .reserved = 0};
                         if (call(rig.grant, EXO_GRANT_BATCH, &batch) != 0 ||
                             entries[kBatch - 1].outcome.hops != depth) {
                             fail("a batch failed");
                         }
                     },
                     kBatch});
    print(paths, device, device_ns);
    free(buffer);
    drop_shared_programs();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fail("usage: bench_paths DEVICE DEVICE_NS POLLED");
    }
    doctest::Context context;
    context.setAsDefaultForAssertsOutOfTestCases();
    context.setAssertHandler([](const doctest::AssertData& a) {
        fprintf(stderr, "bench_paths: %s:%d: %s\n", a.m_file, a.m_line, a.m_expr);
        exit(1);
    });
    setenv("EXO_TEST_DEVICE", argv[1], 1);
    run_all(argv[1], strtoull(argv[2], nullptr, 10), argv[3][0] == '1');
    return 0;
}
