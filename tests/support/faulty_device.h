// SPDX-License-Identifier: MIT
// A device that fails. It may record every write and flush, so that a power cut can be replayed at
// any point, and return an error for the n-th request. It injects nothing else: what was read is
// what was written, and requests of one call are seen in order.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <random>
#include <vector>

#include "tests/support/memory_device.h"

namespace exo::test {

struct Recorded {
    enum Kind : uint8_t { kWrite, kWriteThrough, kFlush } kind;
    uint64_t offset_bytes = 0;
    std::vector<std::byte> data;
};

class FaultyDevice final : public BlockDevice {
  public:
    explicit FaultyDevice(MemoryDevice& under) : under_(under) {}

    void start_recording();
    // Number of records so far; a cut at n loses everything from record n on.
    size_t records() const;
    const std::vector<Recorded>& log() const { return log_; }
    // The n-th request from now (1: the next) fails with EIO; 0: none. Reads, writes and flushes
    // count.
    void fail_request(uint64_t n) { countdown_ = int64_t(n); }
    void fail_from_now_on(bool writes_only);
    void stop_failing();
    bool failing() const { return countdown_ > 0 || broken_ != 0; }  // an error is still to come
    uint64_t requests() const { return requests_; }

    Result<> run(std::span<const IoRequest> requests) override;
    Result<> flush() override;
    Result<> discard(uint64_t, uint64_t) override { return {}; }
    uint64_t size_bytes() const override { return under_.size_bytes(); }
    uint32_t logical_block_bytes() const override { return 512; }
    bool read_only() const override { return false; }
    const std::string& name() const override { return under_.name(); }

  private:
    bool fails(bool write);
    MemoryDevice& under_;
    mutable std::mutex mutex_;  // guards log_
    bool recording_ = false;
    std::vector<Recorded> log_;
    std::atomic<int64_t> countdown_{0};
    std::atomic<int> broken_{0};  // 1: writes fail, 2: everything fails
    std::atomic<uint64_t> requests_{0};
};

// Walks through a log and makes the images that a power cut may leave.
class CrashStates {
  public:
    CrashStates(const MemoryDevice& before, const std::vector<Recorded>& log)
        : durable_(before), log_(log) {}
    // Moves to the cut just after `records` records. Only forward.
    void advance(size_t records);
    size_t unflushed() const { return volatile_.size(); }

    MemoryDevice none_survive() const { return durable_; }
    MemoryDevice all_survive() const;
    // Each unflushed write survives or not, some torn between 512-byte sectors, applied in a random
    // order where they overlap.
    MemoryDevice some_survive(std::mt19937_64& random) const;

  private:
    MemoryDevice durable_;
    const std::vector<Recorded>& log_;
    size_t position_ = 0;
    std::vector<size_t> volatile_;
};

}  // namespace exo::test
