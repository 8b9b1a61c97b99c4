// SPDX-License-Identifier: MIT
// The threads that serve the kernel's requests, and who of them waits for the next one. Knows
// nothing of what is in a request.
//
// One worker leads: it alone waits for requests, and serves a request itself when it got one, since
// most are answered from memory sooner than another thread could be woken. When it has to wait for
// the device it hands the lead to another first, but only where requests lately came while others
// waited: who asks for one block after the other has nobody to be served meanwhile, and would pay
// for waking a thread each time. Should the leader wait for anything else (a lock), or wrongly
// alone, the watchdog takes the lead from it. So a request never waits long behind another, and
// yet nobody is woken for the common one.
//
// When requests follow each other closely, as those of one busy process do, the leader polls for a
// moment rather than sleep: waking up costs more than many requests do.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/base/polling.h"
#include "fs/base/result.h"

namespace exo::fuse {

class Workers {
  public:
    static constexpr unsigned kMaxThreads = 16;

    // Reads the next request into the calling thread's buffer and returns true; false: the mount is
    // gone. Blocks, and is called by one thread at a time.
    using Wait = std::function<bool()>;
    // Whether a request is there; does not block.
    using Poll = std::function<bool()>;
    // Serves the request that the calling thread has read.
    using Serve = std::function<void()>;

    Workers(Wait wait, Poll poll, Serve serve)
        : wait_(std::move(wait)), poll_(std::move(poll)), serve_(std::move(serve)) {}

    // Returns when the mount is gone and every thread has ended.
    Result<> run();

    // To be called by whatever may make the calling thread sleep for long, and when that is over.
    // Harmless in a thread that is no worker, and when called again.
    static void before_waiting();
    static void after_waiting();

  private:
    void work(unsigned number);
    bool lead(unsigned number);
    bool wait_for_request();
    void take_lead_from(uint64_t state);
    void start_thread();
    void watch();
    void wake_watchdog();

    const Wait wait_;
    const Poll poll_;
    const Serve serve_;

    // Who leads and whether a request is being served, in one word (see make_state). A worker makes
    // itself leader with mutex_ held when nobody leads; then only the leader changes it, but the
    // watchdog may take the lead from one that is serving.
    std::atomic<uint64_t> state_ = 0;
    std::atomic<bool> ended_ = false;
    std::atomic<bool> watchdog_sleeps_ = false;
    // For so many more waits the lead is handed over, if nobody comes.
    std::atomic<unsigned> company_ = 0;

    std::mutex mutex_;  // guards the rest
    std::condition_variable lead_is_free_, watch_;
    std::vector<std::thread> threads_;
    unsigned parked_ = 0;

    // The leader's: whether the last request came soon after the one before.
    bool requests_are_close_ = false;
    Polling polling_{std::chrono::microseconds(50), 0};
};

}  // namespace exo::fuse
