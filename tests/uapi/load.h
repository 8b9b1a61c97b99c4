// SPDX-License-Identifier: MIT
// Traversals in every way and by every engine, dozens at once, for as long as a test does something
// to the device. Each result is compared with what was written, and each end is counted.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rig.h"
#include "tree.h"

namespace exo::test {

// How traversals have ended: the cause, or the negative errno of one that was not started.
struct Ends {
    std::map<int, uint64_t> count;
    uint64_t wrong = 0;  // said to have succeeded, but with another result
    std::chrono::milliseconds longest{0};

    uint64_t of(int end) const;
    uint64_t all() const;
    std::string text() const;
};

class Load {
  public:
    // Begins at once on `grant`, whose file is the tree. Traversals have `timeout_ms` each.
    Load(const Fd& grant, const Tree& tree, uint32_t timeout_ms);
    ~Load() { stop(); }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    // Waits until many more traversals have succeeded; false after `limit`.
    bool goes_on(std::chrono::milliseconds limit = std::chrono::seconds(30));
    // Waits until everybody has seen an end that is no success; false after `limit`.
    bool all_fail(std::chrono::milliseconds limit);
    Ends stop();

  private:
    enum class Way { kSingle, kBatch, kRing, kPolledRing };

    void add(Way way, uint16_t engine, uint16_t fan_out);
    void single(uint16_t engine, uint16_t fan_out, std::atomic<bool>& failed);
    void batch(uint16_t engine, uint16_t fan_out, std::atomic<bool>& failed);
    void ring(bool polled, uint16_t engine, uint16_t fan_out, std::atomic<bool>& failed);
    exo_traverse request(uint16_t engine, uint16_t fan_out, test_tree_result* result) const;
    bool note(int error, const exo_outcome& outcome, const test_tree_result& result);
    void note_time(std::chrono::steady_clock::time_point begun);

    const Fd& grant_;
    Tree tree_;
    uint32_t timeout_ms_;
    uint32_t program_;
    std::atomic<bool> stop_ = false;
    std::atomic<uint64_t> succeeded_ = 0;
    std::mutex mutex_;
    Ends ends_;  // guarded by mutex_
    std::vector<std::unique_ptr<std::atomic<bool>>> failed_;
    std::vector<std::thread> threads_;
};

}  // namespace exo::test
