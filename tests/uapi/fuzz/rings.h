// SPDX-License-Identifier: MIT
// A ring of one thread of the fuzzer, with the requests that are in it.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "fuzz.h"

namespace exo::fuzz {

class Ring {
  public:
    Ring(unsigned entries, unsigned flags);
    ~Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    int error() const { return error_; }
    int submit(Task& task);
    int reap(Task& task);
    int reap_in_child();

  private:
    static constexpr size_t kRequests = 512;

    io_uring_sqe* next(uint8_t opcode, int fd);
    bool push_traversal(Task& task);
    void push_other(Task& task);

    io_uring ring_ = {};
    int error_ = 0;
    unsigned flags_ = 0;
    uint64_t last_ = 0;  // user_data given out
    uint64_t submitted_ = 0;
    uint64_t reaped_ = 0;
    std::vector<exo_traverse> requests_;
};

}  // namespace exo::fuzz
