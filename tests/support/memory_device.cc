// SPDX-License-Identifier: MIT
#include "tests/support/memory_device.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace exo::test {

MemoryDevice::MemoryDevice(uint64_t size_bytes, bool read_only)
    : pages_(size_bytes / kBlockBytes), read_only_(read_only) {}

MemoryDevice::MemoryDevice(const MemoryDevice& other) : read_only_(other.read_only_) {
    std::shared_lock lock(other.mutex_);
    pages_ = other.pages_;
}

void MemoryDevice::become(const MemoryDevice& other) {
    MemoryDevice copy(other);
    std::unique_lock lock(mutex_);
    pages_ = std::move(copy.pages_);
}

void MemoryDevice::peek(uint64_t offset, void* out, size_t length) const {
    std::shared_lock lock(mutex_);
    for (size_t done = 0; done < length;) {
        const uint64_t at = offset + done;
        const size_t n = std::min(length - done, kBlockBytes - at % kBlockBytes);
        const auto& page = pages_[at / kBlockBytes];
        if (page)
            memcpy(static_cast<char*>(out) + done, page->bytes + at % kBlockBytes, n);
        else
            memset(static_cast<char*>(out) + done, 0, n);
        done += n;
    }
}

void MemoryDevice::poke(uint64_t offset, const void* data, size_t length) {
    std::unique_lock lock(mutex_);
    for (size_t done = 0; done < length;) {
        const uint64_t at = offset + done;
        const size_t n = std::min(length - done, kBlockBytes - at % kBlockBytes);
        auto& page = pages_[at / kBlockBytes];
        if (!page || page.use_count() > 1) {
            auto fresh = n == kBlockBytes ? allocate_page() : allocate_zero_page();
            if (page && n < kBlockBytes) *fresh = *page;
            page = std::move(fresh);
        }
        memcpy(page->bytes + at % kBlockBytes, static_cast<const char*>(data) + done, n);
        done += n;
    }
}

Result<> MemoryDevice::run(std::span<const IoRequest> requests) {
    for (const IoRequest& request : requests) {
        uint64_t at = request.offset_bytes;
        if (at % kIoAlignment != 0) return fail(EINVAL, "misaligned request");
        for (const iovec& piece : request.buffers) {
            if (piece.iov_len % kIoAlignment != 0) return fail(EINVAL, "misaligned buffer length");
            if (at + piece.iov_len > size_bytes()) return fail(EIO, "access past the end");
            if (request.kind == IoKind::kRead)
                peek(at, piece.iov_base, piece.iov_len);
            else if (read_only_)
                return fail(EROFS, "write to a read-only device");
            else
                poke(at, piece.iov_base, piece.iov_len);
            at += piece.iov_len;
        }
    }
    return {};
}

Result<> MemoryDevice::discard(uint64_t offset, uint64_t length) {
    std::unique_lock lock(mutex_);
    for (uint64_t block = offset / kBlockBytes; block < (offset + length) / kBlockBytes; block++)
        pages_[block] = nullptr;
    return {};
}

}  // namespace exo::test
