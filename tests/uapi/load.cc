// SPDX-License-Identifier: MIT
// The threads behind load.h.
#include "load.h"

#include <algorithm>
#include <cstring>

#include "ring.h"

using namespace std::chrono_literals;

namespace exo::test {
namespace {

constexpr uint32_t kAtOnce = 4;  // of one batch or ring

}  // namespace

uint64_t Ends::of(int end) const {
    auto it = count.find(end);
    return it == count.end() ? 0 : it->second;
}

uint64_t Ends::all() const {
    uint64_t sum = 0;
    for (const auto& [end, n] : count) {
        sum += n;
    }
    return sum;
}

std::string Ends::text() const {
    std::string text = std::to_string(all()) + " traversals";
    for (const auto& [end, n] : count) {
        text +=
            ", " + std::to_string(n) + " with " + (end < 0 ? strerror(-end) : std::to_string(end));
    }
    return text + ", the longest call " + std::to_string(longest.count()) + " ms";
}

Load::Load(const Fd& grant, const Tree& tree, uint32_t timeout_ms)
    : grant_(grant),
      tree_(tree),
      timeout_ms_(timeout_ms),
      program_(shared_program("test_tree").id()) {
    for (uint16_t engine :
         {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
        test_tree_result result = {};
        exo_traverse probe = request(engine, 1, &result);
        if (call(grant_, EXO_GRANT_TRAVERSE, &probe)) {
            continue;  // the device has no such engine
        }
        for (uint16_t fan_out : {1, 16}) {
            add(Way::kSingle, engine, fan_out);
            add(Way::kBatch, engine, fan_out);
            add(engine == EXO_ENGINE_POLLED ? Way::kPolledRing : Way::kRing, engine, fan_out);
        }
    }
}

void Load::add(Way way, uint16_t engine, uint16_t fan_out) {
    failed_.push_back(std::make_unique<std::atomic<bool>>(false));
    std::atomic<bool>& failed = *failed_.back();
    threads_.emplace_back([this, way, engine, fan_out, &failed] {
        switch (way) {
            case Way::kSingle:
                return single(engine, fan_out, failed);
            case Way::kBatch:
                return batch(engine, fan_out, failed);
            default:
                return ring(way == Way::kPolledRing, engine, fan_out, failed);
        }
    });
}

exo_traverse Load::request(uint16_t engine, uint16_t fan_out, test_tree_result* result) const {
    exo_traverse request = {};
    request.program_id = program_;
    request.hop_bytes = 4096;
    request.timeout_ms = timeout_ms_;
    request.engine = engine;
    request.fan_out = fan_out;
    request.result = address(result);
    request.result_len = sizeof(*result);
    return request;
}

// Whether it has failed.
bool Load::note(int error, const exo_outcome& outcome, const test_tree_result& result) {
    if (!error && outcome.cause == EXO_END_NOT_STARTED) {
        error = outcome.error;
    }
    bool done = !error && outcome.cause == EXO_END_DONE;
    std::lock_guard lock(mutex_);
    ends_.count[error ? error : static_cast<int>(outcome.cause)]++;
    ends_.wrong += done && (result.sum != tree_.sum || result.blocks != tree_.blocks);
    succeeded_ += done;
    return !done;
}

void Load::note_time(std::chrono::steady_clock::time_point begun) {
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begun);
    std::lock_guard lock(mutex_);
    ends_.longest = std::max(ends_.longest, took);
}

void Load::single(uint16_t engine, uint16_t fan_out, std::atomic<bool>& failed) {
    test_tree_result result;
    while (!stop_) {
        exo_traverse traverse = request(engine, fan_out, &result);
        auto begun = std::chrono::steady_clock::now();
        int error = call(grant_, EXO_GRANT_TRAVERSE, &traverse);
        note_time(begun);
        failed = note(error, traverse.outcome, result) || failed;
    }
}

void Load::batch(uint16_t engine, uint16_t fan_out, std::atomic<bool>& failed) {
    std::vector<test_tree_result> results(kAtOnce);
    while (!stop_) {
        std::vector<exo_traverse> entries;
        for (test_tree_result& result : results) {
            entries.push_back(request(engine, fan_out, &result));
        }
        exo_batch request = {.traversals = address(entries.data()),
                             .count = kAtOnce,
                             .entry_bytes = sizeof(exo_traverse),
                             .flags = 0,
                             .reserved = 0};
        auto begun = std::chrono::steady_clock::now();
        int error = call(grant_, EXO_GRANT_BATCH, &request);
        note_time(begun);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            failed = note(error, entries[i].outcome, results[i]) || failed;
        }
    }
}

void Load::ring(bool polled, uint16_t engine, uint16_t fan_out, std::atomic<bool>& failed) {
    Ring ring(kAtOnce, polled ? IORING_SETUP_IOPOLL : 0);
    std::vector<test_tree_result> results(kAtOnce);
    std::vector<exo_traverse> entries(kAtOnce);
    while (!stop_) {
        auto begun = std::chrono::steady_clock::now();
        for (uint32_t i = 0; i < kAtOnce; i++) {
            entries[i] = request(engine, fan_out, &results[i]);
            ring.push(grant_.get(), &entries[i], i);
        }
        ring.submit(kAtOnce);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            Ring::Completion c = ring.reap();
            failed = note(std::min(c.res, 0), entries[c.data].outcome, results[c.data]) || failed;
        }
        note_time(begun);
    }
}

bool Load::goes_on(std::chrono::milliseconds limit) {
    uint64_t enough = succeeded_ + 2 * threads_.size();
    auto end = std::chrono::steady_clock::now() + limit;
    while (succeeded_ < enough && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(5ms);
    }
    return succeeded_ >= enough;
}

bool Load::all_fail(std::chrono::milliseconds limit) {
    auto end = std::chrono::steady_clock::now() + limit;
    auto all = [this] {
        return std::all_of(failed_.begin(), failed_.end(), [](const auto& f) { return f->load(); });
    };
    while (!all() && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(5ms);
    }
    return all();
}

Ends Load::stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
        thread.join();
    }
    threads_.clear();
    return ends_;
}

}  // namespace exo::test
