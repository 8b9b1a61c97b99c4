// SPDX-License-Identifier: MIT
// exo/uring.h without a ring: what it puts into submission entries, and reads from completions.
#include <doctest/doctest.h>
#include <exo/uring.h>

#include <cerrno>
#include <cstring>

namespace {

// An entry of a ring with IORING_SETUP_SQE128, full of what was there before.
struct Entry {
    Entry() {
        memset(bytes, 0xab, sizeof bytes);
        sqe().user_data = 42;
    }
    io_uring_sqe& sqe() { return *reinterpret_cast<io_uring_sqe*>(bytes); }
    template <typename Command>
    Command command() const {
        Command command;
        memcpy(&command, bytes + offsetof(io_uring_sqe, cmd), sizeof command);
        return command;
    }
    alignas(io_uring_sqe) unsigned char bytes[128];
};

void check_common(Entry& entry, uint32_t command) {
    CHECK(entry.sqe().opcode == IORING_OP_URING_CMD);
    CHECK(entry.sqe().fd == 5);
    CHECK(entry.sqe().cmd_op == command);
    CHECK(entry.sqe().user_data == 42);
    CHECK(entry.sqe().flags == 0);
    CHECK(entry.sqe().ioprio == 0);
    CHECK(entry.sqe().len == 0);
    CHECK(entry.sqe().rw_flags == 0);
    CHECK(entry.sqe().file_index == 0);
}

}  // namespace

TEST_CASE("a plain entry points to the traversal and keeps to 64 bytes") {
    Entry entry;
    exo_traverse traverse = {};
    exo_uring__prepare(&entry.sqe(), 5, &traverse);
    check_common(entry, EXO_GRANT_TRAVERSE);
    auto command = entry.command<exo_uring_pointer>();
    CHECK(command.traverse == reinterpret_cast<uintptr_t>(&traverse));
    CHECK(command.reserved == 0);
    for (size_t at = 64; at < sizeof entry.bytes; at++) CHECK(entry.bytes[at] == 0xab);
}

TEST_CASE("a large entry holds all of the traversal") {
    Entry entry;
    exo_traverse traverse = {};
    exo_outcome outcome = {};
    traverse.flags = EXO_TRAVERSE_ALL_BLOCKS;
    traverse.program_id = 2;
    traverse.start_offset = 3;
    traverse.hop_bytes = 4;
    traverse.hop_limit = 5;
    traverse.timeout_ms = 6;
    traverse.args_len = 7;
    traverse.args = 8;
    traverse.result = 9;
    traverse.result_len = 10;
    traverse.blocks_len = 11;
    traverse.blocks = 12;
    traverse.engine = EXO_ENGINE_DISPATCH;
    traverse.fan_out = 14;
    traverse.slot = 15;
    traverse.outcome.value = 13;  // is not part of it
    exo_uring__prepare_whole(&entry.sqe(), 5, &traverse, &outcome);
    check_common(entry, EXO_URING_TRAVERSE);
    auto command = entry.command<exo_uring_traverse>();
    CHECK(command.flags == EXO_TRAVERSE_ALL_BLOCKS);
    CHECK(command.program_id == 2);
    CHECK(command.start_offset == 3);
    CHECK(command.hop_bytes == 4);
    CHECK(command.hop_limit == 5);
    CHECK(command.timeout_ms == 6);
    CHECK(command.args_len == 7);
    CHECK(command.args == 8);
    CHECK(command.result == 9);
    CHECK(command.result_len == 10);
    CHECK(command.blocks_len == 11);
    CHECK(command.blocks == 12);
    CHECK(command.outcome == reinterpret_cast<uintptr_t>(&outcome));
    CHECK(command.engine == EXO_ENGINE_DISPATCH);
    CHECK(command.fan_out == 14);
    CHECK(command.slot == 15);
    exo_uring__prepare_whole(&entry.sqe(), 5, &traverse, nullptr);
    CHECK(entry.command<exo_uring_traverse>().outcome == 0);
}

TEST_CASE("a completion is an end, or completes the outcome of what did not start") {
    alignas(io_uring_cqe) unsigned char bytes[32] = {};
    auto& cqe = *reinterpret_cast<io_uring_cqe*>(bytes);
    exo_outcome outcome = {};
    outcome.cause = EXO_END_HOP_LIMIT;
    outcome.value = 7;
    cqe.res = EXO_END_HOP_LIMIT;
    CHECK(exo_uring__finish(&cqe, &outcome) == EXO_END_HOP_LIMIT);
    CHECK(outcome.value == 7);
    CHECK(exo_uring__finish(&cqe, nullptr) == EXO_END_HOP_LIMIT);
    cqe.res = -EBUSY;
    CHECK(exo_uring__finish(&cqe, nullptr) == -EBUSY);
    CHECK(exo_uring__finish(&cqe, &outcome) == -EBUSY);
    CHECK(outcome.cause == EXO_END_NOT_STARTED);
    CHECK(outcome.value == 0);
    CHECK(exo_outcome__check(&outcome, "file") == -EBUSY);
    const uint64_t value = 99;
    memcpy(bytes + 16, &value, sizeof value);
    CHECK(exo_uring__value(&cqe) == 99);
}
