// SPDX-License-Identifier: MIT
// A device on which chosen requests wait until they are let through: who else waits then, waits for
// them.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "fs/device/forwarding_device.h"

namespace exo::test {

class GateDevice final : public ForwardingDevice {
  public:
    using ForwardingDevice::ForwardingDevice;

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
        return under().run(requests);
    }
    Result<> flush() override {
        pass([this] { return writes_held_; });
        return under().flush();
    }
    Result<> discard(uint64_t offset, uint64_t length) override {
        pass([this] { return discards_held_; });
        return under().discard(offset, length);
    }

  private:
    void pass(const std::function<bool()>& held) {
        std::unique_lock lock(mutex_);
        if (!held()) return;
        waiting_++;
        changed_.notify_all();
        changed_.wait(lock, [&] { return !held(); });
        waiting_--;
    }
    std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::function<bool(uint64_t)> held_reads_;
    bool writes_held_ = false, discards_held_ = false;
    unsigned waiting_ = 0;
};

}  // namespace exo::test
