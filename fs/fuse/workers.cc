// SPDX-License-Identifier: MIT
#include "fs/fuse/workers.h"

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

#include "fs/base/log.h"

namespace exo::fuse {
namespace {

using Clock = std::chrono::steady_clock;

// Requests this close to each other are worth polling for.
constexpr std::chrono::microseconds kClose{150};
// After a request came while another waited, so many waits are expected to see one, too.
constexpr unsigned kCompany = 16;
// A leader may be stuck so long before the watchdog helps.
constexpr std::chrono::milliseconds kWatchPeriod{1};
// The watchdog sleeps after so many periods without a request.
constexpr int kIdlePeriods = 100;

// A state: how many requests were begun, the leader's number (0: nobody leads), and whether it
// serves.
constexpr uint64_t make_state(uint64_t begun, unsigned leader, bool busy) {
    return begun << 16 | uint64_t(leader) << 1 | uint64_t(busy);
}
constexpr uint64_t begun_of(uint64_t state) {
    return state >> 16;
}
constexpr unsigned leader_of(uint64_t state) {
    return static_cast<unsigned>(state >> 1 & 0x7fff);
}
constexpr bool is_busy(uint64_t state) {
    return (state & 1) != 0;
}
constexpr uint64_t without_leader(uint64_t state) {
    return make_state(begun_of(state), 0, false);
}

// Of the calling thread while it serves a request: for whom, the state that it set then, and
// whether it still leads, but for the watchdog.
thread_local Workers* serving = nullptr;
thread_local uint64_t serving_state = 0;
thread_local bool serving_leads = false;

}  // namespace

Result<> Workers::run() {
    {
        std::lock_guard lock(mutex_);
        start_thread();
        if (ended_) return fail(EAGAIN, "no thread can be started to serve the mount");
    }
    std::thread watchdog([this] { watch(); });
    // Workers start workers: there are no more to come once all that are listed have ended.
    for (size_t i = 0;; i++) {
        std::thread worker;
        {
            std::lock_guard lock(mutex_);
            if (i == threads_.size()) break;
            worker = std::move(threads_[i]);
        }
        worker.join();
    }
    watchdog.join();
    return {};
}

// REQUIRES: mutex_ held
void Workers::start_thread() {
    const auto number = static_cast<unsigned>(threads_.size()) + 1;
    try {
        threads_.emplace_back([this, number] { work(number); });
    } catch (const std::system_error& error) {
        log(LogLevel::kWarning, std::string("no further thread can be started: ") + error.what());
        ended_ = ended_ || threads_.empty();
    }
}

void Workers::work(unsigned number) {
    while (lead(number)) {
        // Until the lead is lost: in before_waiting(), or to the watchdog.
        while (wait_for_request()) {
            const uint64_t state = make_state(begun_of(state_) + 1, number, true);
            state_ = state;
            if (watchdog_sleeps_) wake_watchdog();
            serving = this;
            serving_state = state;
            serving_leads = true;
            serve_();
            serving = nullptr;
            uint64_t expected = state;
            if (!state_.compare_exchange_strong(expected, state & ~uint64_t{1})) break;
        }
    }
}

// Waits until the lead is free and takes it. False: the mount is gone.
bool Workers::lead(unsigned number) {
    std::unique_lock lock(mutex_);
    ++parked_;
    lead_is_free_.wait(lock, [this] { return ended_ || leader_of(state_) == 0; });
    --parked_;
    if (ended_) return false;
    state_ = make_state(begun_of(state_), number, false);
    return true;
}

bool Workers::wait_for_request() {
    const auto start = Clock::now();
    if (requests_are_close_) polling_.poll(poll_);
    if (!wait_()) {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        lead_is_free_.notify_all();
        watch_.notify_all();
        return false;
    }
    requests_are_close_ = Clock::now() - start < kClose;
    return true;
}

void Workers::before_waiting() {
    Workers* workers = serving;
    if (!workers || !serving_leads || workers->company_.load(std::memory_order_relaxed) == 0)
        return;
    serving_leads = false;
    const std::lock_guard lock(workers->mutex_);
    workers->take_lead_from(serving_state);
}

// Learns whether handing the lead over paid, or would have.
void Workers::after_waiting() {
    Workers* workers = serving;
    if (!workers) return;
    const uint64_t now = workers->state_;
    const bool led = now == serving_state;
    const bool came = led ? workers->poll_() : begun_of(now) != begun_of(serving_state);
    if (came)
        workers->company_.store(kCompany, std::memory_order_relaxed);
    else if (const unsigned left = workers->company_.load(std::memory_order_relaxed);
             !led && left > 0)
        workers->company_.store(left - 1, std::memory_order_relaxed);
}

// Frees the lead of who serves since `state`, unless it lost it already. REQUIRES: mutex_ held
void Workers::take_lead_from(uint64_t state) {
    if (!state_.compare_exchange_strong(state, without_leader(state))) return;
    if (parked_ > 0)
        lead_is_free_.notify_one();
    else if (threads_.size() < kMaxThreads)
        start_thread();
}

void Workers::wake_watchdog() {
    const std::lock_guard lock(mutex_);
    watchdog_sleeps_ = false;
    watch_.notify_one();
}

void Workers::watch() {
    std::unique_lock lock(mutex_);
    uint64_t seen = state_;
    int idle = 0;
    while (!ended_) {
        watch_.wait_for(lock, kWatchPeriod);
        const uint64_t now = state_;
        if (now != seen) {
            seen = now;
            idle = 0;
        } else if (is_busy(now)) {
            take_lead_from(now);  // stuck since the last look
        } else if (++idle >= kIdlePeriods) {
            watchdog_sleeps_ = true;
            watch_.wait(lock, [&] { return ended_ || !watchdog_sleeps_ || state_ != now; });
            watchdog_sleeps_ = false;
            idle = 0;
        }
    }
}

}  // namespace exo::fuse
