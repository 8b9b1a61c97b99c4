// SPDX-License-Identifier: MIT
// io_uring as the fuzzer uses it: rings of every kind, with traversals, cancellations, links and
// nonsense in them, reaped by their thread or by a child, and closed with everything in flight.
#include "rings.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "fuzz.h"

namespace exo::fuzz {

Ring::Area* Ring::map() {
    void* p =
        mmap(nullptr, sizeof(Area), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        abort();
    }
    return static_cast<Area*>(p);
}

void Ring::Unmap::operator()(Area* area) const {
    munmap(area, sizeof(Area));
}

Ring::Ring(unsigned entries, unsigned flags, bool buffers) : area_(map()) {
    io_uring_params params = {};
    params.flags = flags;
    params.sq_thread_idle = 5;
    error_ = io_uring_queue_init_params(entries, &ring_, &params);
    flags_ = flags;
    if (!error_ && buffers) {
        iovec vectors[] = {{area_.get(), sizeof(Area)}, {nullptr, 0}};
        registered_ = io_uring_register_buffers(&ring_, vectors, 2) == 0;
    }
}

Ring::~Ring() {
    if (!error_) {
        io_uring_queue_exit(&ring_);
    }
}

io_uring_sqe* Ring::next(uint8_t opcode, int fd) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (!sqe) {
        return nullptr;
    }
    memset(sqe, 0, flags_ & IORING_SETUP_SQE128 ? 128 : 64);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->user_data = ++last_;
    return sqe;
}

// All that is written lies in the buffer, or just beside it.
void Ring::point_to_buffer(Random& random, exo_traverse& request) {
    auto place = [&](auto& room, uint32_t& len) {
        uint64_t at = random.one_in(16) ? random.below(room.size()) : 0;
        if (!random.one_in(16)) {
            len = std::min<uint32_t>(len, static_cast<uint32_t>(room.size() - at));
        }
        return reinterpret_cast<uint64_t>(room.data()) + at;
    };
    request.result = place(area_->result, request.result_len);
    request.blocks = place(area_->blocks, request.blocks_len);
}

// Takes the buffer away under what is in flight, or gives it back.
void Ring::change_buffer(Random& random) {
    iovec vector = {nullptr, 0};
    if (random.one_in(2)) {
        vector = {area_.get(), sizeof(Area)};
    }
    __u64 tag = 0;
    io_uring_register_buffers_update_tag(&ring_, static_cast<unsigned>(random.below(2)), &vector,
                                         &tag, 1);
}

bool Ring::push_traversal(Task& task) {
    Random& random = task.random;
    int fd = random.one_in(24) ? task.process.fds.any(random)
                               : task.process.fds.any(random, random.one_in(3) ? kSet : kGrant);
    io_uring_sqe* sqe = next(IORING_OP_URING_CMD, fd);
    if (!sqe) {
        return false;
    }
    // Its outcome is written there later; the memory lives as long as the ring.
    exo_traverse& request = area_->requests[last_ % kRequests];
    request = make_traverse(task);
    if (!random.one_in(16)) {
        request.engine = EXO_ENGINE_AUTO;
    }
    if (random.one_in(12)) {
        mutate(random, &request, offsetof(exo_traverse, outcome));
    }
    bool fixed = registered_ ? !random.one_in(3) : random.one_in(48);
    if (fixed) {
        point_to_buffer(random, request);
        sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
        sqe->buf_index = static_cast<uint16_t>(random.one_in(16) ? random.below(4) : 0);
    }
    size_t command_bytes = flags_ & IORING_SETUP_SQE128 ? 80 : 16;
    if (flags_ & IORING_SETUP_SQE128 && !random.one_in(4)) {
        exo_uring_traverse command = {};
        memcpy(&command, &request, offsetof(exo_traverse, outcome));
        command.outcome = random.one_in(3) ? 0
                          : fixed          ? reinterpret_cast<uint64_t>(&request.outcome)
                                           : task.process.hot_address(random, 128);
        sqe->cmd_op = EXO_URING_TRAVERSE;
        memcpy(sqe->cmd, &command, std::min(sizeof(command), command_bytes));
    } else {
        exo_uring_pointer command = {.traverse = reinterpret_cast<uint64_t>(&request),
                                     .reserved = 0};
        sqe->cmd_op = EXO_GRANT_TRAVERSE;
        memcpy(sqe->cmd, &command, sizeof(command));
    }
    if (random.one_in(16)) {
        mutate(random, sqe->cmd, command_bytes);
    }
    if (random.one_in(24)) {
        sqe->cmd_op = static_cast<uint32_t>(
            random.one_in(2) ? resized(EXO_GRANT_TRAVERSE, random.below(300) * 8)
                             : random.pick<uint64_t>({0, EXO_GRANT_INFO, EXO_URING_TRAVERSE,
                                                      EXO_GRANT_BATCH, random.next()}));
    }
    if (random.one_in(24)) {
        sqe->uring_cmd_flags = static_cast<uint32_t>(random.boundary());
    }
    if (random.one_in(12)) {
        sqe->flags |= random.pick<uint8_t>({IOSQE_ASYNC, IOSQE_IO_LINK, IOSQE_IO_HARDLINK,
                                            IOSQE_IO_DRAIN, IOSQE_CQE_SKIP_SUCCESS});
    }
    return true;
}

void Ring::push_other(Task& task) {
    Random& random = task.random;
    io_uring_sqe* sqe = nullptr;
    switch (random.below(6)) {
        case 4:
        case 5:
            sqe = next(IORING_OP_URING_CMD, task.process.fds.any(random, kGrant));
            if (sqe) {
                exo_uring_cancel command = {
                    .user_data = random.one_in(3) ? 0 : last_ - random.below(40),
                    .flags = random.one_in(3) ? EXO_CANCEL_ALL : 0,
                    .reserved = random.one_in(16)};
                sqe->cmd_op = EXO_URING_CANCEL;
                memcpy(sqe->cmd, &command, sizeof(command));
                sqe->flags |= random.one_in(6) ? IOSQE_ASYNC : 0;
            }
            break;
        case 0:
            sqe = next(IORING_OP_NOP, -1);
            break;
        case 1:
            sqe = next(IORING_OP_POLL_ADD, task.process.fds.any(random, kGrant));
            if (sqe) {
                sqe->poll32_events = random.pick<uint32_t>({POLLPRI, POLLIN, POLLPRI | POLLHUP});
            }
            break;
        default:
            sqe = next(IORING_OP_ASYNC_CANCEL, task.process.fds.any(random, kGrant));
            if (sqe) {
                sqe->addr = last_ - random.below(40);
                sqe->cancel_flags = random.pick<uint32_t>(
                    {0, 0, 0, IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY,
                     IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL});
            }
    }
}

int Ring::submit(Task& task) {
    if (registered_ && task.random.one_in(8)) {
        change_buffer(task.random);
    }
    uint64_t count = 1 + task.random.below(24);
    for (uint64_t i = 0; i < count; i++) {
        if (task.random.one_in(6)) {
            push_other(task);
        } else if (!push_traversal(task)) {
            break;
        }
    }
    int ret = io_uring_submit(&ring_);
    submitted_ += ret > 0 ? static_cast<uint64_t>(ret) : 0;
    return ret;
}

int Ring::reap(Task& task) {
    io_uring_cqe* cqe = nullptr;
    int good = 0;
    for (uint64_t i = task.random.below(40); i; i--) {
        // To wait in vain is of no use, and a polled ring has nothing to wait with.
        if (submitted_ <= reaped_) {
            break;
        }
        __kernel_timespec wait = {.tv_sec = 0, .tv_nsec = 2000000};
        int ret = io_uring_wait_cqe_timeout(&ring_, &cqe, &wait);
        if (ret < 0) {
            return good ? good : ret;
        }
        good += cqe->res >= 0;
        reaped_++;
        io_uring_cqe_seen(&ring_, cqe);
    }
    return good;
}

// A child has a copy of everything, but another memory.
int Ring::reap_in_child() {
    pid_t child = fork();
    if (child < 0) {
        return -errno;
    }
    if (child == 0) {
        alarm(2);
        io_uring_cqe* cqe = nullptr;
        for (int i = 0; i < 8; i++) {
            io_uring_submit(&ring_);
            if (io_uring_peek_cqe(&ring_, &cqe) == 0) {
                io_uring_cqe_seen(&ring_, cqe);
            }
        }
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return 0;
}

int ring_open(Task& task) {
    Random& random = task.random;
    unsigned flags = random.pick<unsigned>(
        {0, 0, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
         IORING_SETUP_IOPOLL, IORING_SETUP_IOPOLL,
         IORING_SETUP_IOPOLL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN});
    if (random.one_in(2)) {
        flags |= IORING_SETUP_SQE128;
    }
    if (random.one_in(2)) {
        flags |= IORING_SETUP_CQE32;
    }
    if (random.one_in(16) && !(flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN))) {
        flags |= IORING_SETUP_SQPOLL;
    }
    delete task.ring;
    task.ring = new Ring(random.pick<unsigned>({1, 4, 32, 128}), flags, random.one_in(2));
    int error = task.ring->error();
    if (error) {
        delete task.ring;
        task.ring = nullptr;
    }
    return error;
}

int ring_submit(Task& task) {
    return task.ring ? task.ring->submit(task) : ring_open(task);
}

int ring_reap(Task& task) {
    return task.ring ? task.ring->reap(task) : -EBADF;
}

int ring_close(Task& task) {
    delete task.ring;
    task.ring = nullptr;
    return 0;
}

int ring_fork(Task& task) {
    return task.ring ? task.ring->reap_in_child() : -EBADF;
}

Task::Task(Process& p, uint64_t seed)
    : process(p), random(seed), buffer(16384 + 512), args(4096), batch(64), list(16384) {}

Task::~Task() {
    delete ring;
}

}  // namespace exo::fuzz
