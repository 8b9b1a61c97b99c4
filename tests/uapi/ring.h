// SPDX-License-Identifier: MIT
// An io_uring of either kind with commands for grants and sets.
#pragma once

#include <doctest/doctest.h>
#include <liburing.h>

#include <cstring>

#include "rig.h"

namespace exo::test {

inline uint64_t address(const void* p) {
    return reinterpret_cast<uint64_t>(p);
}

class Ring {
  public:
    explicit Ring(unsigned entries, unsigned flags = 0) : flags_(flags) {
        error = io_uring_queue_init(entries, &ring_, flags);
        REQUIRE(error == 0);
    }
    ~Ring() { io_uring_queue_exit(&ring_); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // With a struct exo_traverse in memory.
    void push(int fd, exo_traverse* request, uint64_t data, uint32_t op = EXO_GRANT_TRAVERSE,
              uint64_t reserved = 0) {
        io_uring_sqe* sqe = next(fd, op, data);
        exo_uring_pointer command = {.traverse = address(request), .reserved = reserved};
        memcpy(sqe->cmd, &command, sizeof(command));
    }

    // With everything in the SQE.
    void push(int fd, const exo_uring_traverse& command, uint64_t data) {
        io_uring_sqe* sqe = next(fd, EXO_URING_TRAVERSE, data);
        memcpy(sqe->cmd, &command, flags_ & IORING_SETUP_SQE128 ? sizeof(command) : 16);
    }

    // The last one pushed writes to registered buffer `index`.
    void use_buffer(uint16_t index) {
        last_->uring_cmd_flags |= IORING_URING_CMD_FIXED;
        last_->buf_index = index;
    }

    void submit(unsigned count) { REQUIRE(io_uring_submit(&ring_) == static_cast<int>(count)); }

    struct Completion {
        uint64_t data;
        int32_t res;
        uint64_t value;
    };
    Completion reap() {
        io_uring_cqe* cqe = nullptr;
        int ret = 0;
        do {
            ret = io_uring_wait_cqe(&ring_, &cqe);
        } while (ret == -EINTR);  // as after a suspend
        REQUIRE(ret == 0);
        Completion c = {cqe->user_data, cqe->res,
                        flags_ & IORING_SETUP_CQE32 ? cqe->big_cqe[0] : 0};
        io_uring_cqe_seen(&ring_, cqe);
        return c;
    }

    io_uring* raw() { return &ring_; }

    // The last entry that was pushed and not submitted.
    io_uring_sqe* last() { return last_; }

    int error = 0;

  private:
    io_uring_sqe* next(int fd, uint32_t op, uint64_t data) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        REQUIRE(sqe);
        memset(sqe, 0, flags_ & IORING_SETUP_SQE128 ? 128 : 64);
        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = fd;
        sqe->cmd_op = op;
        sqe->user_data = data;
        last_ = sqe;
        return sqe;
    }

    unsigned flags_;
    io_uring_sqe* last_ = nullptr;
    io_uring ring_ = {};
};

}  // namespace exo::test
