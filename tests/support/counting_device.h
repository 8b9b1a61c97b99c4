// SPDX-License-Identifier: MIT
// Counts what the file system asks of a device.
#pragma once

#include <atomic>

#include "fs/device/forwarding_device.h"

namespace exo::test {

struct DeviceCounts {
    uint64_t waits = 0;  // calls of run() that read: requests of one call are under way together
    uint64_t blocks_read = 0, blocks_written = 0, flushes = 0;
    DeviceCounts operator-(const DeviceCounts& b) const {
        return {waits - b.waits, blocks_read - b.blocks_read, blocks_written - b.blocks_written,
                flushes - b.flushes};
    }
};

class CountingDevice final : public ForwardingDevice {
  public:
    using ForwardingDevice::ForwardingDevice;
    DeviceCounts counts() const { return {waits_, blocks_read_, blocks_written_, flushes_}; }

    Result<> run(std::span<const IoRequest> requests) override {
        bool reads = false;
        for (const IoRequest& request : requests) {
            uint64_t bytes = 0;
            for (const iovec& buffer : request.buffers) bytes += buffer.iov_len;
            const bool read = request.kind == IoKind::kRead;
            (read ? blocks_read_ : blocks_written_) += bytes / kIoAlignment;
            reads |= read;
        }
        waits_ += reads;
        return under().run(requests);
    }
    Result<> flush() override {
        flushes_++;
        return under().flush();
    }

  private:
    std::atomic<uint64_t> waits_{0}, blocks_read_{0}, blocks_written_{0}, flushes_{0};
};

}  // namespace exo::test
