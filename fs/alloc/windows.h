// SPDX-License-Identifier: MIT
// Space set aside, in memory only, behind files that are being appended to, so that files which
// grow side by side do not take each other's next block. A window belongs to one file. It ends when
// the file is closed, is left alone for a while, or somebody finds no space.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

#include "fs/alloc/allocator.h"
#include "fs/base/ino.h"

namespace exo {

class Windows {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr size_t kMaxWindows = 1024;
    static constexpr uint64_t kMinBlocks = 16, kMaxBlocks = 2048;  // 64 KiB, 8 MiB
    static constexpr std::chrono::seconds kIdle{10};

    // Up to `want` blocks at `goal` from the file's window. Another goal ends the window.
    Reservation take(Ino ino, BlockNo goal, uint64_t want);
    // Makes `rest` the file's window; the oldest one goes where there are too many.
    void keep(Ino ino, Reservation rest);
    void drop(Ino ino);
    uint64_t drop_all();  // returns blocks given back
    void drop_idle(Clock::time_point now);

    uint64_t blocks() const;
    // How much to set aside for a file which has `blocks` and now grows by `more`.
    static uint64_t size_for(uint64_t blocks, uint64_t more);

  private:
    struct Window {
        Ino ino;
        Reservation space;
        Clock::time_point used;
    };
    using Order = std::list<Window>;  // the one used last is the first
    Order::iterator erase(Order::iterator window);

    mutable std::mutex mutex_;  // guards all; before the allocator's
    Order order_;
    std::unordered_map<Ino, Order::iterator> by_ino_;
    uint64_t blocks_ = 0;
};

}  // namespace exo
