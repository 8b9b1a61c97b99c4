// SPDX-License-Identifier: MIT
// A device that fails. It may record every write, flush and discard, so that a power cut can be
// replayed at any point (crash_states.h), and fail requests: one, or all from one on. A failed
// write may have been done in part; a failed read leaves half of what was asked for, and garbage;
// what a failed flush should have saved is lost, as on a drive
// that drops its cache. What was discarded reads as garbage. Requests of one call are seen in
// order.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tests/support/memory_device.h"

namespace exo::test {

struct Recorded {
    enum Kind : uint8_t { kWrite, kWriteThrough, kFlush, kFailedFlush, kDiscard } kind;
    uint64_t offset_bytes = 0;
    std::vector<std::byte> data{};  // of a write
    uint64_t length_bytes = 0;      // of a discard
};

class FaultyDevice final : public BlockDevice {
  public:
    explicit FaultyDevice(MemoryDevice& under) : under_(under) {}

    void start_recording();
    // Number of records so far; a cut at n loses everything from record n on.
    size_t records() const;
    const std::vector<Recorded>& log() const { return log_; }

    enum class Fault : uint8_t {
        kOnce,     // this request fails, nothing of it is done
        kTorn,     // this request fails; if it is a write, every other sector of it is done
        kWrites,   // this request and every write, flush and discard from it on
        kForEver,  // this request and everything from it on
    };
    // The n-th request from now (1: the next) fails with EIO; 0: none. Reads, writes, flushes and
    // discards count.
    void fail_request(uint64_t n, Fault fault = Fault::kOnce);
    void stop_failing();
    bool failing() const { return countdown_ > 0 || broken_ != 0; }  // an error is still to come
    uint64_t requests() const { return requests_; }
    enum class Request : uint8_t { kNone, kRead, kWrite, kFlush, kDiscard };
    Request first_failed() const { return first_failed_; }

    Result<> run(std::span<const IoRequest> requests) override;
    Result<> flush() override;
    Result<> discard(uint64_t offset_bytes, uint64_t length_bytes) override;
    uint64_t size_bytes() const override { return under_.size_bytes(); }
    uint32_t logical_block_bytes() const override { return 512; }
    bool read_only() const override { return false; }
    const std::string& name() const override { return under_.name(); }

  private:
    bool fails(Request request);
    Result<> write(const IoRequest& request, bool torn);
    MemoryDevice& under_;
    mutable std::mutex mutex_;  // guards log_, fault_, first_failed_
    bool recording_ = false;
    std::vector<Recorded> log_;
    Fault fault_ = Fault::kOnce;
    Request first_failed_ = Request::kNone;
    std::atomic<int64_t> countdown_{0};
    std::atomic<int> broken_{0};  // 1: writes fail, 2: everything fails
    std::atomic<uint64_t> requests_{0};
};

}  // namespace exo::test
