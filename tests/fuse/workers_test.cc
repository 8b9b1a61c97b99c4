// SPDX-License-Identifier: MIT
// The threads that serve requests: none is lost, and one that waits holds up no other.
#include "fs/fuse/workers.h"

#include "fs/fuse/background.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

using namespace exo::fuse;
using namespace std::chrono_literals;

namespace {

// Requests are numbers; -1 ends the mount.
class Queue {
  public:
    void push(int request) {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
        changed_.notify_one();
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        CHECK_MESSAGE(!std::exchange(somebody_waits_, true), "two lead at once");
        changed_.wait(lock, [this] { return !requests_.empty(); });
        somebody_waits_ = false;
        if (requests_.front() < 0) return false;
        taken = requests_.front();
        requests_.pop_front();
        return true;
    }
    bool poll() {
        const std::lock_guard lock(mutex_);
        return !requests_.empty();
    }
    static thread_local int taken;

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<int> requests_;
    bool somebody_waits_ = false;
};
thread_local int Queue::taken = 0;

// Serves the queue with `serve` in a thread of its own until -1.
class Served {
  public:
    explicit Served(std::function<void(int)> serve)
        : workers_([this] { return queue.wait(); }, [this] { return queue.poll(); },
                   [serve = std::move(serve)] { serve(Queue::taken); }),
          thread_([this] { CHECK(bool(workers_.run())); }) {}
    void finish() {
        queue.push(-1);
        thread_.join();
    }
    Queue queue;

  private:
    Workers workers_;
    std::thread thread_;
};

template <typename Condition>
bool soon(Condition&& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
    return condition();
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("every request is served once, whatever waits") {
    std::mutex mutex;
    std::multiset<int> served;
    Served under_test([&](int request) {
        if (request % 7 == 0) Workers::before_waiting();
        if (request % 50 == 0) std::this_thread::sleep_for(3ms);  // without saying so
        const std::lock_guard lock(mutex);
        served.insert(request);
    });
    constexpr int kRequests = 20000;
    for (int i = 0; i < kRequests; ++i) {
        under_test.queue.push(i);
        if (i % 1000 == 0) std::this_thread::sleep_for(2ms);
    }
    under_test.finish();
    CHECK(served.size() == kRequests);
    CHECK(std::set<int>(served.begin(), served.end()).size() == kRequests);
}

TEST_CASE("a request that waits, told or not, holds up no other; the mount ends after it") {
    for (const bool told : {true, false}) {
        std::atomic<bool> go_on = false, waits = false;
        std::atomic<int> others = 0;
        Served under_test([&](int request) {
            if (request == 0) {
                waits = true;
                if (told) Workers::before_waiting();
                while (!go_on) std::this_thread::sleep_for(1ms);
            } else {
                ++others;
            }
        });
        under_test.queue.push(0);
        REQUIRE(soon([&] { return waits.load(); }));
        for (int i = 1; i <= 100; ++i) under_test.queue.push(i);
        CHECK(soon([&] { return others == 100; }));
        go_on = true;
        under_test.finish();
    }
}

TEST_CASE("who waits while nobody else asks wakes no other thread") {
    std::mutex mutex;
    std::condition_variable answered;
    int served = 0, changes = 0;
    std::thread::id last;
    Served under_test([&](int) {
        Workers::before_waiting();
        std::this_thread::sleep_for(100us);
        Workers::after_waiting();
        const std::lock_guard lock(mutex);
        changes += served > 0 && last != std::this_thread::get_id();
        last = std::this_thread::get_id();
        ++served;
        answered.notify_one();
    });
    constexpr int kRequests = 200;
    for (int i = 1; i <= kRequests; ++i) {
        under_test.queue.push(i);
        std::unique_lock lock(mutex);
        REQUIRE(answered.wait_for(lock, 5s, [&] { return served == i; }));
    }
    under_test.finish();
    CHECK(changes < kRequests / 2);  // the watchdog may take a wait on a busy machine for long
}

TEST_CASE("after a long pause requests are served as before") {
    std::atomic<int> served = 0;
    Served under_test([&](int) { ++served; });
    under_test.queue.push(1);
    CHECK(soon([&] { return served == 1; }));
    std::this_thread::sleep_for(250ms);  // longer than the watchdog stays awake
    under_test.queue.push(2);
    CHECK(soon([&] { return served == 2; }));
    under_test.finish();
}

TEST_CASE("jobs in the background are done where no further thread can be had") {
    std::atomic<int> done = 0;
    {
        Background background;
        // No address space is left for a stack of this size, so no thread can be started.
        pthread_attr_t usual, huge;
        REQUIRE(pthread_getattr_default_np(&usual) == 0);
        REQUIRE(pthread_attr_init(&huge) == 0);
        REQUIRE(pthread_attr_setstacksize(&huge, size_t{1} << 46) == 0);
        REQUIRE(pthread_setattr_default_np(&huge) == 0);
        for (int i = 0; i < 5; i++)
            background.run([&] {
                std::this_thread::sleep_for(5ms);
                ++done;
            });
        pthread_setattr_default_np(&usual);
    }
    CHECK(done == 5);
}

TEST_SUITE_END();
