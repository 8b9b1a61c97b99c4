// SPDX-License-Identifier: MIT
#include "ways.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "floor.h"

using namespace exo::test;

namespace exo::bench {

namespace {

constexpr uint64_t kFileBytes = 2 * kMiB;
constexpr uint32_t kBatch = 64;

// What a block says: the offset of the next one.
uint64_t next_of(const uint8_t* block) {
    uint64_t next = 0;
    memcpy(&next, block, sizeof(next));
    return next;
}

}  // namespace

void fail(const char* what) {
    fprintf(stderr, "bench_paths: %s\n", what);
    exit(1);
}

struct Ways::Ring {
    Ring(unsigned flags, int fd, uint8_t* buffer) {
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

Ways::Ways(const std::string& device, bool polled)
    : polled_(polled),
      rig_(kFileBytes),
      follow_(shared_program("test_follow")),
      levels_(shared_program("test_levels")),
      leaf_(kFileBytes / 2),
      raw_(open_path(device, O_RDONLY | O_DIRECT)),
      floor_(open_path(FLOOR_PATH, O_RDWR)),
      entries_(kBatch) {
    if (!raw_) {
        fail("cannot open the device");
    }
    if (!floor_) {
        fail(FLOOR_PATH " cannot be opened: is exo_floor.ko loaded?");
    }
    if (polled_) {
        const auto flags = unsigned{IORING_SETUP_IOPOLL};
        reads_ = std::make_unique<Ring>(flags, raw_.get(), buffer_.data());
        commands_ =
            std::make_unique<Ring>(flags | IORING_SETUP_SQE128 | IORING_SETUP_CQE32, -1, nullptr);
    } else {
        reads_ = std::make_unique<Ring>(0, -1, nullptr);
        commands_ = std::make_unique<Ring>(IORING_SETUP_SQE128 | IORING_SETUP_CQE32, -1, nullptr);
        add_reads();
    }
    pin_kept();
    add_io_uring();
    add_exo();
    add_floor();
}

Ways::~Ways() = default;

const Way& Ways::exo() const {
    for (const Way& way : ways_) {
        if (way.name == (polled_ ? "exo polled" : "exo completion")) {
            return way;
        }
    }
    fail("exo is not among the ways");
}

void Ways::add_reads() {
    ways_.push_back({"read()", [this](uint32_t depth) {
                         uint64_t offset = 0;
                         for (uint32_t i = 0; i < depth; i++) {
                             if (pread(raw_.get(), buffer_.data(), kBlock,
                                       static_cast<off_t>(offset)) != kBlock) {
                                 fail("a read failed");
                             }
                             offset = next_of(buffer_.data());
                         }
                     }});
}

void Ways::add_io_uring() {
    const char* name = polled_ ? "io_uring, IOPOLL, fixed buffer and file" : "io_uring";
    ways_.push_back(
        {name, [this](uint32_t depth) {
             uint64_t offset = 0;
             for (uint32_t i = 0; i < depth; i++) {
                 io_uring_sqe* sqe = io_uring_get_sqe(&reads_->ring);
                 if (polled_) {
                     io_uring_prep_read_fixed(sqe, 0, buffer_.data(), kBlock, offset, 0);
                     sqe->flags |= IOSQE_FIXED_FILE;
                 } else {
                     io_uring_prep_read(sqe, raw_.get(), buffer_.data(), kBlock, offset);
                 }
                 if (reads_->finish() != kBlock) {
                     fail("a read failed");
                 }
                 offset = next_of(buffer_.data());
             }
         }});
}

exo_traverse Ways::request(uint32_t depth) const {
    exo_traverse request = {};
    request.engine = polled_ ? EXO_ENGINE_POLLED : EXO_ENGINE_AUTO;
    request.program_id = follow_.id();
    request.hop_bytes = kBlock;
    request.hop_limit = depth;
    return request;
}

void Ways::add_traversal(const std::string& name, uint16_t engine) {
    ways_.push_back({name, [this, engine](uint32_t depth) {
                         exo_traverse traverse = request(depth);
                         traverse.engine = engine;
                         if (call(rig_.grant, EXO_GRANT_TRAVERSE, &traverse) != 0 ||
                             traverse.outcome.cause != EXO_END_DONE ||
                             traverse.outcome.hops != depth) {
                             fail("a traversal failed");
                         }
                     }});
}

void Ways::add_exo() {
    if (polled_) {
        add_traversal("exo polled", EXO_ENGINE_POLLED);
    } else {
        add_traversal("exo dispatch", EXO_ENGINE_DISPATCH);
        add_traversal("exo completion", EXO_ENGINE_COMPLETION);
    }
    ways_.push_back({polled_ ? "exo polled, through io_uring" : "exo completion, through io_uring",
                     [this](uint32_t depth) {
                         exo_traverse traverse = request(depth);
                         exo_uring_traverse command = {};
                         // IOPOLL says it of the whole ring.
                         memcpy(&command, &traverse, offsetof(exo_traverse, outcome));
                         io_uring_sqe* sqe = io_uring_get_sqe(&commands_->ring);
                         *sqe = {};
                         sqe->opcode = IORING_OP_URING_CMD;
                         sqe->fd = rig_.grant.get();
                         sqe->cmd_op = EXO_URING_TRAVERSE;
                         memcpy(sqe->cmd, &command, sizeof(command));
                         if (commands_->finish() != EXO_END_DONE) {
                             fail("a traversal failed");
                         }
                     }});
    ways_.push_back({polled_ ? "exo polled, a batch of 64" : "exo completion, a batch of 64",
                     [this](uint32_t depth) {
                         for (exo_traverse& entry : entries_) {
                             entry = request(depth);
                         }
                         exo_batch batch = {
                             .traversals = reinterpret_cast<uint64_t>(entries_.data()),
                             .count = kBatch,
                             .entry_bytes = sizeof(exo_traverse),
                             .flags = 0,
                             .reserved = 0};
                         if (call(rig_.grant, EXO_GRANT_BATCH, &batch) != 0 ||
                             entries_.back().outcome.hops != depth) {
                             fail("a batch failed");
                         }
                     },
                     kBatch});
    add_kept(polled_ ? "exo polled, upper levels in the node cache"
                     : "exo completion, upper levels in the node cache",
             polled_ ? EXO_ENGINE_POLLED : EXO_ENGINE_COMPLETION);
}

// A second file behind the first one, with room in memory for all of its blocks.
void Ways::pin_kept() {
    const auto give_room = [](uint64_t blocks) {
        std::ofstream file("/sys/module/exo/parameters/node_cache_blocks");
        file << blocks << std::flush;
        if (!file) {
            fail("the node cache cannot be given room");
        }
    };
    give_room(kFileBytes / kBlock);
    if (pin(rig_.volume, kIno + 1, 1, kFileBytes,
            {{.file_offset = 0, .disk_offset = kFileBytes, .length = kFileBytes}}) != 0) {
        fail("a second file cannot be pinned");
    }
    give_room(0);
    kept_file_ = open_path(rig_.mount.path("other"), O_RDONLY);
    kept_ = open_grant(kept_file_.get()).fd;
    if (!kept_) {
        fail("no grant on the second file");
    }
}

// Upper levels that are always the same, and each time another leaf.
void Ways::add_kept(const std::string& name, uint16_t engine) {
    ways_.push_back(
        {name,
         [this, engine](uint32_t depth) {
             leaf_ = leaf_ + kBlock < kFileBytes ? leaf_ + kBlock : kFileBytes / 2;
             const test_levels_args args = {.leaf = leaf_, .levels = depth, .reserved = 0};
             exo_traverse traverse = request(depth);
             traverse.engine = engine;
             traverse.program_id = levels_.id();
             traverse.start_offset = depth == 1 ? leaf_ : 0;
             traverse.args = reinterpret_cast<uint64_t>(&args);
             traverse.args_len = sizeof(args);
             if (call(kept_, EXO_GRANT_TRAVERSE, &traverse) != 0 ||
                 traverse.outcome.cause != EXO_END_DONE || traverse.outcome.hops != depth) {
                 fail("a traversal of the kept file failed");
             }
         },
         1, true});
}

void Ways::add_floor() {
    for (const bool by_block_layer : {false, true}) {
        std::string name = polled_ ? "floor polled" : "floor completion";
        name += by_block_layer ? ", through the block layer" : "";
        ways_.push_back({name, [this, by_block_layer](uint32_t depth) {
                             floor_chain chain = {.device_fd = raw_.get(),
                                                  .depth = depth,
                                                  .block_bytes = kBlock,
                                                  .polled = polled_,
                                                  .by_block_layer = by_block_layer,
                                                  .reserved = 0};
                             if (call(floor_, FLOOR_CHAIN, &chain) != 0) {
                                 fail("a chain of the floor failed");
                             }
                         }});
    }
}

}  // namespace exo::bench
