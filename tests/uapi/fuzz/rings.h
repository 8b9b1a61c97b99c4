// SPDX-License-Identifier: MIT
// A ring of one thread of the fuzzer, with the requests that are in it.
#pragma once

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "fuzz.h"

namespace exo::fuzz {

class Ring {
  public:
    Ring(unsigned entries, unsigned flags, bool buffers);
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
    void point_to_buffer(Random& random, exo_traverse& request);
    void change_buffer(Random& random);

    io_uring ring_ = {};
    int error_ = 0;
    unsigned flags_ = 0;
    uint64_t last_ = 0;  // user_data given out
    uint64_t submitted_ = 0;
    uint64_t reaped_ = 0;
    // What is in the ring, and room for results: together the registered buffer, if there is one.
    struct Area {
        std::array<exo_traverse, kRequests> requests;
        std::array<std::byte, 65536> result;
        std::array<std::byte, 65536> blocks;
    };
    // A mapping of its own: what is written to the pages of a buffer after the ring has gone must
    // not meet somebody else's memory.
    struct Unmap {
        void operator()(Area* area) const;
    };
    static Area* map();
    std::unique_ptr<Area, Unmap> area_;
    bool registered_ = false;
};

}  // namespace exo::fuzz
