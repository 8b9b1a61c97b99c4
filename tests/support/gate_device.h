// SPDX-License-Identifier: MIT
// A device on which chosen requests wait until they are let through: who else waits then, waits for
// them.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "fs/device/block_device.h"

namespace exo::test {

class GateDevice final : public BlockDevice {
  public:
    explicit GateDevice(BlockDevice& under) : under_(under) {}

    void hold_reads_of(std::function<bool(uint64_t offset_bytes)> which) {
        std::lock_guard lock(mutex_);
        held_reads_ = std::move(which);
    }
    void hold_writes() {
        std::lock_guard lock(mutex_);
        writes_held_ = true;
    }
    void hold_discards() {
        std::lock_guard lock(mutex_);
        discards_held_ = true;
    }
    void let_through() {
        std::lock_guard lock(mutex_);
        held_reads_ = nullptr;
        writes_held_ = discards_held_ = false;
        changed_.notify_all();
    }
    // Returns when somebody waits at the gate.
    void wait_for_waiter() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_ > 0; });
    }

    Result<> run(std::span<const IoRequest> requests) override {
        for (const IoRequest& request : requests) {
            const uint64_t offset = request.offset_bytes;
            pass([this, read = request.kind == IoKind::kRead, offset] {
                return read ? held_reads_ && held_reads_(offset) : writes_held_;
            });
        }
        return under_.run(requests);
    }
    Result<> flush() override {
        pass([this] { return writes_held_; });
        return under_.flush();
    }
    Result<> discard(uint64_t offset, uint64_t length) override {
        pass([this] { return discards_held_; });
        return under_.discard(offset, length);
    }
    uint64_t size_bytes() const override { return under_.size_bytes(); }
    uint32_t logical_block_bytes() const override { return under_.logical_block_bytes(); }
    bool read_only() const override { return under_.read_only(); }
    const std::string& name() const override { return under_.name(); }

  private:
    void pass(const std::function<bool()>& held) {
        std::unique_lock lock(mutex_);
        if (!held()) return;
        waiting_++;
        changed_.notify_all();
        changed_.wait(lock, [&] { return !held(); });
        waiting_--;
    }
    BlockDevice& under_;
    std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::function<bool(uint64_t)> held_reads_;
    bool writes_held_ = false, discards_held_ = false;
    unsigned waiting_ = 0;
};

}  // namespace exo::test
