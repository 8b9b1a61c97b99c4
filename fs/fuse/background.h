// SPDX-License-Identifier: MIT
// Threads for requests that have to wait (a pin for writers, an unpin for its grace period), so
// that they never hold up a thread that serves the kernel. One thread is there from the beginning,
// so that no job is stuck where no more can be had; others are made on demand. All end with the
// object.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace exo::fuse {

class Background {
  public:
    static constexpr size_t kMaxThreads = 32;

    Background();  // throws std::system_error where not even one thread can be had
    ~Background() { finish(); }
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;

    void run(std::function<void()> job);

    // Runs what is queued, then ends the threads; jobs that come later are run by their caller.
    void finish();

  private:
    void work();

    std::mutex mutex_;  // guards all below; no job runs with it held
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    std::vector<std::thread> threads_;
    size_t idle_ = 0;
    bool finishing_ = false;
};

}  // namespace exo::fuse
