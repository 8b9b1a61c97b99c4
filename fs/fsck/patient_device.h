// SPDX-License-Identifier: MIT
// Asks for what could not be read once more. To a repair, what cannot be read is damaged and is
// given up; an error that is gone a moment later must not cost a journal.
#pragma once

#include <algorithm>

#include "fs/device/block_device.h"

namespace exo::fsck {

class PatientDevice final : public BlockDevice {
  public:
    explicit PatientDevice(BlockDevice& under) : under_(under) {}

    Result<> run(std::span<const IoRequest> requests) override {
        Result<> done = under_.run(requests);
        const bool only_reads = std::ranges::all_of(
            requests, [](const IoRequest& request) { return request.kind == IoKind::kRead; });
        return done || !only_reads ? done : under_.run(requests);
    }
    void expect(uint64_t offset_bytes, uint64_t length_bytes) override {
        under_.expect(offset_bytes, length_bytes);
    }
    Result<> flush() override { return under_.flush(); }
    Result<> discard(uint64_t offset_bytes, uint64_t length_bytes) override {
        return under_.discard(offset_bytes, length_bytes);
    }
    uint64_t size_bytes() const override { return under_.size_bytes(); }
    uint32_t logical_block_bytes() const override { return under_.logical_block_bytes(); }
    bool read_only() const override { return under_.read_only(); }
    const std::string& name() const override { return under_.name(); }

  private:
    BlockDevice& under_;
};

}  // namespace exo::fsck
