// SPDX-License-Identifier: MIT
// A device in memory. Copies share pages until one is written, so thousands of images are cheap.
#pragma once

#include <memory>
#include <shared_mutex>
#include <vector>

#include "fs/base/page.h"
#include "fs/device/forwarding_device.h"

namespace exo::test {

class MemoryDevice final : public BlockDevice {
  public:
    explicit MemoryDevice(uint64_t size_bytes, bool read_only = false);
    MemoryDevice(const MemoryDevice& other);  // another device with the same content
    void become(const MemoryDevice& other);   // REQUIRES: the same size

    Result<> run(std::span<const IoRequest> requests) override;
    Result<> flush() override { return {}; }
    Result<> discard(uint64_t offset_bytes, uint64_t length_bytes) override;
    uint64_t size_bytes() const override { return pages_.size() * kBlockBytes; }
    uint32_t logical_block_bytes() const override { return 512; }
    bool read_only() const override { return read_only_; }
    const std::string& name() const override { return name_; }

    void peek(uint64_t offset_bytes, void* out, size_t length) const;
    void poke(uint64_t offset_bytes, const void* data, size_t length);

  private:
    mutable std::shared_mutex mutex_;           // guards pages_
    std::vector<std::shared_ptr<Page>> pages_;  // null: zeros
    bool read_only_;
    std::string name_ = "memory";
};

// Lends a device to an owner that wants to own it (Volume), and keeps it here.
class BorrowedDevice final : public ForwardingDevice {
  public:
    using ForwardingDevice::ForwardingDevice;
};

}  // namespace exo::test
