// SPDX-License-Identifier: MIT
// Requests to the device whose buffers are added piece by piece; neighbours on the device are
// joined. And arithmetic with blocks that goes with it.
#pragma once

#include <vector>

#include "fs/base/page.h"
#include "fs/device/block_device.h"

namespace exo {

inline uint64_t round_down(uint64_t value) {
    return value / kBlockBytes * kBlockBytes;
}
inline uint64_t round_up(uint64_t value) {
    return round_down(value + kBlockBytes - 1);
}

class IoList {
  public:
    explicit IoList(IoKind kind) : kind_(kind) {}
    void add(uint64_t disk_offset, void* memory, size_t length) {
        if (length == 0) return;
        if (parts_.empty() || parts_.back().end != disk_offset ||
            buffers_.size() - parts_.back().first >= kMaxBuffers)
            parts_.push_back({disk_offset, disk_offset, buffers_.size()});
        buffers_.push_back({memory, length});
        parts_.back().end += length;
    }
    Result<> run(BlockDevice& device) {
        if (parts_.empty()) return {};
        std::vector<IoRequest> requests;
        for (size_t i = 0; i < parts_.size(); i++) {
            const size_t first = parts_[i].first,
                         last = i + 1 < parts_.size() ? parts_[i + 1].first : buffers_.size();
            requests.push_back(
                {kind_, parts_[i].start, std::span(buffers_).subspan(first, last - first)});
        }
        return device.run(requests);
    }

  private:
    static constexpr size_t kMaxBuffers = 512;  // of one request
    struct Part {
        uint64_t start, end;
        size_t first;
    };
    IoKind kind_;
    std::vector<iovec> buffers_;
    std::vector<Part> parts_;
};

}  // namespace exo
