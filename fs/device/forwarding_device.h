// SPDX-License-Identifier: MIT
// A device that hands everything on to another one: the base of those that change one thing on the
// way. Its fd() is not the other's, since who used it would go around that change.
#pragma once

#include "fs/device/block_device.h"

namespace exo {

class ForwardingDevice : public BlockDevice {
  public:
    // `under` outlives it.
    explicit ForwardingDevice(BlockDevice& under) : under_(under) {}

    Result<> run(std::span<const IoRequest> requests) override { return under_.run(requests); }
    Result<> flush() override { return under_.flush(); }
    Result<> discard(uint64_t offset_bytes, uint64_t length_bytes) override {
        return under_.discard(offset_bytes, length_bytes);
    }
    void expect(uint64_t offset_bytes, uint64_t length_bytes) override {
        under_.expect(offset_bytes, length_bytes);
    }
    uint64_t size_bytes() const override { return under_.size_bytes(); }
    uint32_t logical_block_bytes() const override { return under_.logical_block_bytes(); }
    bool read_only() const override { return under_.read_only(); }
    const std::string& name() const override { return under_.name(); }

  protected:
    BlockDevice& under() { return under_; }

  private:
    BlockDevice& under_;
};

}  // namespace exo
