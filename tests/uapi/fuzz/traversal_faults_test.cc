// SPDX-License-Identifier: MIT
// Traversals by every way in, with everything that they need failing in turn: each has a definite
// end, and nothing is left in flight.
#include <doctest/doctest.h>
#include <liburing.h>

#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "rig.h"
#include "sweep.h"

using namespace exo::test;

namespace {

// A traversal with everything that it can allocate.
struct Request {
    explicit Request(uint32_t program_id, uint32_t flags = 0, uint16_t engine = EXO_ENGINE_AUTO,
                     uint16_t fan_out = 1)
        : args{.stride = 4096, .count = 4, .len = 4096}, result(65536), blocks(1 << 20) {
        traverse.flags = flags;
        traverse.engine = engine;
        traverse.fan_out = fan_out;
        traverse.program_id = program_id;
        traverse.hop_bytes = 65536;
        traverse.timeout_ms = 30000;
        traverse.args = reinterpret_cast<uint64_t>(&args);
        traverse.args_len = sizeof(args);
        traverse.result = reinterpret_cast<uint64_t>(result.data());
        traverse.result_len = static_cast<uint32_t>(result.size());
        if (flags & (EXO_TRAVERSE_LAST_BLOCK | EXO_TRAVERSE_ALL_BLOCKS)) {
            traverse.blocks = reinterpret_cast<uint64_t>(blocks.data());
            traverse.blocks_len = static_cast<uint32_t>(blocks.size());
        }
    }
    test_stride_args args;
    std::vector<uint8_t> result;
    std::vector<uint8_t> blocks;
    exo_traverse traverse = {};
};

bool definite_end(const exo_outcome& outcome) {
    switch (outcome.cause) {
        case EXO_END_DONE:
            return outcome.hops == 4;
        case EXO_END_IO:
        case EXO_END_NO_REQUEST:
            return outcome.error < 0;
        case EXO_END_NOT_STARTED:
            return definite(outcome.error);
        default:
            return false;
    }
}

exo_uring_traverse whole(const Request& request, exo_outcome* outcome) {
    exo_uring_traverse command = {};
    memcpy(&command, &request.traverse, offsetof(exo_traverse, outcome));
    command.outcome = reinterpret_cast<uint64_t>(outcome);
    return command;
}

class SweptRing {
  public:
    explicit SweptRing(unsigned flags) : sqe_bytes_(flags & IORING_SETUP_SQE128 ? 128 : 64) {
        REQUIRE(io_uring_queue_init(8, &ring_, flags) == 0);
    }
    ~SweptRing() { io_uring_queue_exit(&ring_); }
    SweptRing(const SweptRing&) = delete;
    SweptRing& operator=(const SweptRing&) = delete;

    io_uring* raw() { return &ring_; }

    // One command at a time, with faults in its submission and in what is reaped with it. `outcome`
    // is where it tells of its end.
    template <typename Command>
    void sweep_command(const char* what, const Fd& fd, uint32_t op, const Command& command,
                       exo_outcome& outcome, uint32_t cmd_flags = 0) {
        sweep(
            what,
            [&] {
                outcome.cause = ~0u;
                io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
                if (!sqe) {
                    return -EBUSY;
                }
                memset(sqe, 0, sqe_bytes_);
                sqe->opcode = IORING_OP_URING_CMD;
                sqe->fd = fd.get();
                sqe->cmd_op = op;
                sqe->uring_cmd_flags = cmd_flags;
                memcpy(sqe->cmd, &command, sizeof(command));
                return io_uring_submit_and_wait(&ring_, 1);
            },
            [&] {
                // What was refused at the door is submitted now, and everything has its end.
                io_uring_submit(&ring_);
                io_uring_cqe* cqe = nullptr;
                REQUIRE(io_uring_wait_cqe(&ring_, &cqe) == 0);
                CHECK((cqe->res >= 0 ? definite_end(outcome) : definite(cqe->res)));
                io_uring_cqe_seen(&ring_, cqe);
                CHECK(io_uring_cq_ready(&ring_) == 0);
            });
    }

  private:
    size_t sqe_bytes_;
    io_uring ring_ = {};
};

}  // namespace

TEST_SUITE_BEGIN("faults");

TEST_CASE("traversals") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        for (uint16_t engine :
             {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
            Request request(stride.id(), EXO_TRAVERSE_ALL_BLOCKS, engine, 1 + engine);
            if (call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse) == -EOPNOTSUPP) {
                continue;
            }
            sweep("EXO_GRANT_TRAVERSE", [&] {
                request.traverse.outcome.cause = ~0u;
                int ret = call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse);
                CHECK((ret || definite_end(request.traverse.outcome)));
                return ret;
            });
        }
        std::vector<Request> requests;
        std::vector<exo_traverse> entries;
        for (int i = 0; i < 4; i++) {
            requests.emplace_back(stride.id(), EXO_TRAVERSE_LAST_BLOCK);
        }
        for (Request& request : requests) {
            request.traverse.args = reinterpret_cast<uint64_t>(&request.args);
            entries.push_back(request.traverse);
        }
        sweep("EXO_GRANT_BATCH", [&] {
            for (exo_traverse& entry : entries) {
                entry.outcome.cause = ~0u;
            }
            exo_batch batch = {};
            batch.traversals = reinterpret_cast<uint64_t>(entries.data());
            batch.count = static_cast<uint32_t>(entries.size());
            batch.entry_bytes = sizeof(exo_traverse);
            int ret = call(rig.grant, EXO_GRANT_BATCH, &batch);
            for (const exo_traverse& entry : entries) {
                CHECK((ret || definite_end(entry.outcome)));
            }
            return ret;
        });
    }
    expect_idle();
    CHECK(stats().grants == 0);
}

TEST_CASE("traversals of a ring") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        for (unsigned flags : {0u, unsigned{IORING_SETUP_IOPOLL}}) {
            Request request(stride.id());
            if (flags & IORING_SETUP_IOPOLL) {
                request.traverse.engine = EXO_ENGINE_POLLED;
                if (call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse) == -EOPNOTSUPP) {
                    continue;
                }
                request.traverse.engine = EXO_ENGINE_AUTO;
            }
            SweptRing ring(flags);
            exo_uring_pointer command = {.traverse = reinterpret_cast<uint64_t>(&request.traverse),
                                         .reserved = 0};
            ring.sweep_command("EXO_GRANT_TRAVERSE by io_uring", rig.grant, EXO_GRANT_TRAVERSE,
                               command, request.traverse.outcome);
        }
    }
    expect_idle();
}

TEST_CASE("traversals from file to file, and with everything in the command") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        std::array<int32_t, 16> grants = {};
        grants.fill(rig.grant.get());
        exo_set_create create = {};
        create.grant_fds = reinterpret_cast<uint64_t>(grants.data());
        create.count = static_cast<uint32_t>(grants.size());
        Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &create));
        REQUIRE(set);
        Request request(stride.id(), EXO_TRAVERSE_ALL_BLOCKS, EXO_ENGINE_AUTO, 16);
        request.traverse.slot = 15;
        sweep("EXO_GRANT_TRAVERSE on a set", [&] {
            request.traverse.outcome.cause = ~0u;
            int ret = call(set, EXO_GRANT_TRAVERSE, &request.traverse);
            CHECK((ret || definite_end(request.traverse.outcome)));
            return ret;
        });

        SweptRing ring(IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
        exo_outcome outcome = {};
        exo_uring_traverse command = whole(request, &outcome);
        ring.sweep_command("EXO_URING_TRAVERSE", set, EXO_URING_TRAVERSE, command, outcome);
    }
    expect_idle();
    CHECK(stats().grants == 0);
}

TEST_CASE("traversals with results in a registered buffer") {
    struct Buffer {
        exo_outcome outcome;
        uint8_t result[65536];
        uint8_t blocks[65536];
    };
    {
        Rig rig(64 * 4096);
        auto buffer = std::make_unique<Buffer>();
        Request request(shared_program("test_stride").id(), EXO_TRAVERSE_ALL_BLOCKS);
        request.traverse.result = reinterpret_cast<uint64_t>(buffer->result);
        request.traverse.blocks = reinterpret_cast<uint64_t>(buffer->blocks);
        request.traverse.blocks_len = sizeof(buffer->blocks);
        SweptRing ring(IORING_SETUP_SQE128);
        iovec vector = {buffer.get(), sizeof(Buffer)};
        REQUIRE(io_uring_register_buffers(ring.raw(), &vector, 1) == 0);
        exo_uring_traverse command = whole(request, &buffer->outcome);
        ring.sweep_command("EXO_URING_TRAVERSE to a registered buffer", rig.grant,
                           EXO_URING_TRAVERSE, command, buffer->outcome, IORING_URING_CMD_FIXED);
    }
    expect_idle();
}

// What the cache keeps it allocates when the file is pinned.
TEST_CASE("traversals of a file whose blocks are kept") {
    const char* parameter = "/sys/module/exo/parameters/node_cache_blocks";
    std::ofstream(parameter) << 16 << std::flush;
    {
        Rig rig(64 * 4096);
        Request request(shared_program("test_stride").id());
        sweep(
            "EXO_VOLUME_PIN with a node cache",
            [&] {
                int ret = pin(rig.volume, 99, 1, 16 * 4096, {{0, 0, 16 * 4096}});
                return ret == -EEXIST ? 0 : ret;
            },
            [&] {
                int ret = unpin(rig.volume, 99, 1);
                CHECK((ret == 0 || ret == -ENOENT));
            });
        sweep("EXO_GRANT_TRAVERSE with a node cache", [&] {
            request.traverse.outcome.cause = ~0u;
            int ret = call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse);
            CHECK((ret || definite_end(request.traverse.outcome)));
            return ret;
        });
    }
    std::ofstream(parameter) << 0 << std::flush;
    expect_idle();
}

TEST_SUITE_END();

TEST_SUITE_BEGIN("no pages");

// The caller is told, and that is all: what a process may ask for is no news to the kernel's log,
// which the script looks at. Only while the script has faults in exo.ko only.
TEST_CASE("memory of a size that the caller chose" * doctest::skip()) {
    const std::string faults = "/sys/kernel/debug/fail_page_alloc/probability";
    {
        Rig rig(64 * 4096);
        Request one(shared_program("test_stride").id(), EXO_TRAVERSE_ALL_BLOCKS);
        std::vector<exo_extent> extents;
        for (uint64_t i = 0; i < 4096; i++) {
            extents.push_back({i * 4096, (4095 - i) * 4096, 4096});
        }
        std::vector<exo_traverse> many(1024, one.traverse);
        exo_batch batch = {};
        batch.traversals = reinterpret_cast<uint64_t>(many.data());
        batch.count = static_cast<uint32_t>(many.size());
        batch.entry_bytes = sizeof(exo_traverse);
        // Without, first, so that everything else is there.
        REQUIRE(call(rig.grant, EXO_GRANT_TRAVERSE, &one.traverse) == 0);
        CHECK(definite_end(one.traverse.outcome));
        std::ofstream(faults) << 100 << std::flush;
        int traversal = call(rig.grant, EXO_GRANT_TRAVERSE, &one.traverse);
        int several = call(rig.grant, EXO_GRANT_BATCH, &batch);
        int pinned = pin(rig.volume, 99, 1, extents.size() * 4096, extents);
        std::ofstream(faults) << 0 << std::flush;
        CHECK(traversal == -ENOMEM);
        CHECK(pinned == -ENOMEM);
        // Its own list is 8 KiB, which may be there; those on it then are not.
        CHECK((several == -ENOMEM || several == 0));
        for (const exo_traverse& entry : many) {
            CHECK((several ||
                   (entry.outcome.cause == EXO_END_NOT_STARTED && entry.outcome.error == -ENOMEM)));
        }
    }
    expect_idle();
    CHECK(stats().grants == 0);
}

TEST_SUITE_END();
