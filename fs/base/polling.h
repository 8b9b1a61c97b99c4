// SPDX-License-Identifier: MIT
// Waiting for a moment without sleeping, for what is likely to come at once: on a virtual machine,
// waking an idle CPU takes longer than a fast drive does. Where others need the CPU they get it,
// and there is no polling for a while.
#pragma once

#include <sched.h>

#include <atomic>
#include <chrono>

namespace exo {

class Polling {
  public:
    // After polling in vain, there is none for so many waits.
    Polling(std::chrono::microseconds longest, unsigned left_out_after_vain)
        : longest_(longest), left_out_after_vain_(left_out_after_vain) {}

    // False: it is not there yet, or this is no time for polling.
    template <typename There>
    bool poll(There&& there) {
        // Races lose some of the count, which is none too exact.
        if (const unsigned left = left_out_.load(std::memory_order_relaxed); left > 0) {
            left_out_.store(left - 1, std::memory_order_relaxed);
            return false;
        }
        const auto start = Clock::now();
        while (!there()) {
            const auto now = Clock::now();
            if (now - start > longest_) {
                left_out_.store(left_out_after_vain_, std::memory_order_relaxed);
                return false;
            }
            sched_yield();  // whoever is to bring it may be waiting for this CPU
            if (Clock::now() - now > kCrowded) {
                // It was somebody with work for long: who sleeps is woken before that one ends.
                left_out_.store(kCrowdedWaits, std::memory_order_relaxed);
                return there();
            }
        }
        return true;
    }

  private:
    using Clock = std::chrono::steady_clock;
    // Who gives up the CPU for so long shares it with others' work.
    static constexpr std::chrono::microseconds kCrowded{300};
    static constexpr unsigned kCrowdedWaits = 2000;

    const std::chrono::microseconds longest_;
    const unsigned left_out_after_vain_;
    std::atomic<unsigned> left_out_ = 0;
};

}  // namespace exo
